//go:build unix

package redial_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// assertNoDescriptors calls f some times, and checks that it leaves no descriptor open.
func assertNoDescriptors(t *testing.T, f func()) {
	t.Helper()
	before := nextDescriptor(t)
	for range 50 {
		f()
	}
	assert.Less(t, nextDescriptor(t), before+50)
}

// nextDescriptor returns the lowest descriptor that is free (open(2)).
func nextDescriptor(t *testing.T) uintptr {
	t.Helper()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	return f.Fd()
}

// fewDescriptors lowers this process's limit of descriptors, and takes all that are free but n. It then calls f, whose
// argument takes the rest, and those that others have closed meanwhile.
func fewDescriptors(t *testing.T, n int, f func(takeAll func())) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	lowered := limit
	lowered.Cur = 200
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	var held []*os.File
	defer func() {
		for _, file := range held {
			file.Close()
		}
	}()
	takeAll := func() {
		for {
			file, err := os.Open(os.DevNull)
			if err != nil {
				assert.ErrorIs(t, err, syscall.EMFILE)
				return
			}
			held = append(held, file)
		}
	}
	takeAll()
	for _, file := range held[:n] {
		file.Close()
	}
	held = held[n:]
	f(takeAll)
}

// believesResolvers waits until the dial believes a resolver again: what it saw of the descriptors is good for 100 ms.
func believesResolvers(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext}).Dial("tcp", address)
		return redial.Classify(err) == redial.NotFound
	}, 10*time.Second, time.Millisecond)
}

// A service that this process cannot look up, because it has no descriptor left, is not an unknown service.
func TestServiceWithoutDescriptors(t *testing.T) {
	d := &redial.Dialer{MaxAttempts: 2}
	dial := func() *redial.Error {
		_, err := d.DialContext(t.Context(), "tcp", "localhost:no-such-service")
		return asError(t, err)
	}
	assert.Equal(t, redial.Invalid, dial().Class)
	fewDescriptors(t, 0, func(takeAll func()) {
		assert.Eventually(t, func() bool {
			takeAll()
			return dial().Class == redial.Exhausted
		}, 10*time.Second, time.Millisecond)
	})
	believesResolvers(t)
	assert.Equal(t, redial.Invalid, dial().Class)
}

// Thousands of failing look-ups do not look for free descriptors at once: they would take those that they look for.
func TestCrowdOfLookupsTakesNoDescriptors(t *testing.T) {
	believesResolvers(t)
	fewDescriptors(t, 5, func(func()) {
		var mu sync.Mutex
		classes := map[redial.Class]int{}
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 2000 {
			all.Go(func() {
				d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext, MaxAttempts: 2}
				<-start
				_, err := d.Dial("tcp", address)
				mu.Lock()
				defer mu.Unlock()
				classes[redial.Classify(err)]++
			})
		}
		close(start)
		all.Wait()
		assert.Equal(t, map[redial.Class]int{redial.NotFound: 2000}, classes)
	})
	believesResolvers(t)
}

// The check whether descriptors are left gives back those that it has opened.
func TestDescriptorCheckClosesItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		assertNoDescriptors(t, func() {
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext}
			_, err := d.Dial("tcp", address)
			assert.Equal(t, redial.NotFound, redial.Classify(err))
			time.Sleep(time.Second) // virtual, so that the next dial looks again
		})
	})
}

// A connect that has found no address to send from lacks an IPv6 address, if the target has one, or a port. The check
// leaves no descriptor open.
func TestNoSourceAddressOrNoPort(t *testing.T) {
	unavailable := os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	to := func(addr net.Addr, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err}
	}
	v6 := func(host string) net.IP { return net.ParseIP(host) }
	type failure struct {
		err  error
		want redial.Class
	}
	tests := map[string]failure{
		"IPv4":           {to(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, unavailable), redial.Exhausted},
		"no address":     {to(nil, unavailable), redial.Exhausted},
		"a nil pointer":  {to((*net.TCPAddr)(nil), unavailable), redial.Exhausted},
		"a unix socket":  {to(&net.UnixAddr{Name: "/s"}, unavailable), redial.Exhausted},
		"no operation":   {unavailable, redial.Exhausted},
		"not connect":    {to(&net.TCPAddr{IP: v6("2001:db8::1"), Port: 80}, os.NewSyscallError("bind", syscall.EADDRINUSE)), redial.Exhausted},
		"another errno":  {to(&net.TCPAddr{IP: v6("2001:db8::1"), Port: 80}, os.NewSyscallError("connect", syscall.EMFILE)), redial.Exhausted},
		"a refused IPv6": {to(&net.TCPAddr{IP: v6("2001:db8::1"), Port: 80}, os.NewSyscallError("connect", sysRefused)), redial.Refused},
	}
	for _, host := range []string{"::1", "2001:db8::1"} {
		want := redial.Exhausted
		probe, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: v6(host), Port: 80})
		if err == nil {
			probe.Close()
		} else if errors.Is(err, syscall.EADDRNOTAVAIL) {
			want = redial.Unreachable
		}
		for _, addr := range []net.Addr{&net.TCPAddr{IP: v6(host), Port: 80}, &net.UDPAddr{IP: v6(host), Port: 80}, &net.IPAddr{IP: v6(host)}} {
			tests[addr.Network()+" "+host] = failure{to(addr, unavailable), want}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assertNoDescriptors(t, func() {
				var class redial.Class
				d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Fail(test.err)).DialContext, MaxAttempts: 1,
					OnAttempt: func(_ context.Context, a redial.Attempt) { class = a.Class }}
				_, err := d.Dial("tcp", address)
				assert.Error(t, err)
				assert.Equal(t, test.want, class)
			})
		})
	}
}

// A connection to itself is closed, also if it is to the address of a name.
func TestSelfConnectOfNameIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not every kernel connects a socket to itself on demand")
	}
	assertNoDescriptors(t, func() {
		_, port, err := net.SplitHostPort(testutil.FreeAddress(t))
		require.NoError(t, err)
		local, err := net.ResolveTCPAddr("tcp4", "127.0.0.1:"+port)
		require.NoError(t, err)
		d := &redial.Dialer{MaxAttempts: 1}
		d.LocalAddr = local
		_, err = d.Dial("tcp4", "localhost:"+port)
		assert.Equal(t, redial.Refused, redial.Classify(err))
		assert.ErrorContains(t, err, "connected to itself")
	})
}

// A panic or runtime.Goexit in Control or ControlContext reaches the caller of the dial, and the socket is closed, which
// package net does only after an error.
func TestPanicInControlClosesTheSocket(t *testing.T) {
	dns := dnstest.InMemory()
	dns.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	for address, dial := range map[string]func(d *redial.Dialer, address string){
		"two.test.:9": func(d *redial.Dialer, address string) { d.DialContext(t.Context(), "tcp", address) },
		"127.0.0.1:9": func(d *redial.Dialer, address string) { d.DialContext(t.Context(), "udp", address) },
	} {
		for name, how := range map[string]func(){"panic": func() { panic("boom") }, "exit": runtime.Goexit} {
			for _, withContext := range []bool{false, true} {
				t.Run(address+", "+name, func(t *testing.T) {
					d := &redial.Dialer{}
					d.Resolver = dns.Resolver()
					if withContext {
						d.ControlContext = func(context.Context, string, string, syscall.RawConn) error { how(); return nil }
					} else {
						d.Control = func(string, string, syscall.RawConn) error { how(); return nil }
					}
					assertNoDescriptors(t, func() {
						returned, recovered := struckBy(func() { dial(d, address) })
						assert.False(t, returned)
						if name == "panic" {
							assert.Equal(t, "boom", recovered)
						}
					})
				})
			}
		}
	}
}

// Package net tries TCP where multipath TCP fails, but does not call a Control again that has panicked.
func TestPanicInControlComesOnce(t *testing.T) {
	testutil.NeedSockets(t)
	calls := 0
	d := &redial.Dialer{}
	d.SetMultipathTCP(true)
	d.Control = func(string, string, syscall.RawConn) error { calls++; panic("boom") }
	assert.PanicsWithValue(t, "boom", func() { d.Dial("tcp", "127.0.0.1:9") })
	assert.Equal(t, 1, calls)
}

// A connection that Verify rejects is closed in the usual way, so that the server sees its end. It is reset only if it holds a
// port that the next attempt needs.
func TestRejectedConnectionIsClosed(t *testing.T) {
	ended := make(chan error)
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	for name, local := range map[string]net.Addr{"none": nil, "a nil pointer": (*net.TCPAddr)(nil), "an address": &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}} {
		d := &redial.Dialer{Verify: func(context.Context, net.Conn) error { return errCustom }, MaxAttempts: 1}
		d.LocalAddr = local
		_, err := d.Dial("tcp", ln.Addr().String())
		assert.Equal(t, errCustom, err, name)
		assert.Equal(t, io.EOF, <-ended, name)
	}
}

// A LocalAddr that is no file leaves all files alone.
func TestLocalAddrWithoutFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("abstract names of unix sockets are Linux's (unix(7))")
	}
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("@name", nil, 0o600))
	for _, local := range []*net.UnixAddr{{Net: "unix"}, {Name: "@name", Net: "unix"}, {Name: "\x00name", Net: "unix"}} {
		d := &redial.Dialer{MaxAttempts: 1}
		d.LocalAddr = local
		_, err := d.Dial("unix", "missing")
		assert.ErrorIs(t, err, syscall.ENOENT, local)
		assert.FileExists(t, "@name")
	}
}

// The file of a failed attempt is removed before Classifier is asked, which can panic.
func TestLocalFileAndPanic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not all systems bind before they find that nobody listens")
	}
	path := filepath.Join(t.TempDir(), "local")
	d := &redial.Dialer{Classifier: func(error) redial.Class { panic("boom") }}
	d.LocalAddr = &net.UnixAddr{Name: path, Net: "unix"}
	_, recovered := struckBy(func() { d.Dial("unix", path+".missing") })
	assert.Equal(t, "boom", recovered)
	assert.NoFileExists(t, path)
}

// An attempt whose time runs out after its bind removes the file that the bind has made. If the attempt fails before its bind,
// the file is another's.
func TestLocalFileOfSlowAttempt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "local")
	server := testutil.Listen(t, "unix", filepath.Join(dir, "server"), testutil.Echo)
	d := &redial.Dialer{MaxAttempts: 1}
	d.LocalAddr = &net.UnixAddr{Name: path, Net: "unix"}
	d.Timeout = 10 * time.Millisecond
	d.Control = func(string, string, syscall.RawConn) error {
		time.Sleep(2 * d.Timeout)
		return nil
	}
	_, err := d.Dial("unix", server.Addr().String())
	require.Error(t, err)
	assert.True(t, err.(net.Error).Timeout(), "%v", err)
	assert.NoFileExists(t, path)

	d.Timeout = 0
	d.Control = func(string, string, syscall.RawConn) error {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		return errCustom
	}
	_, err = d.Dial("unix", server.Addr().String())
	assert.ErrorIs(t, err, errCustom)
	assert.FileExists(t, path)

	d.Timeout = 10 * time.Millisecond
	d.Control = nil
	d.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		<-ctx.Done()
		return ctx.Err()
	}
	_, err = d.Dial("unix", server.Addr().String())
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.FileExists(t, path)
}
