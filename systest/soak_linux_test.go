//go:build soak

package systest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

var soakFor = flag.Duration("soak", 10*time.Minute, "how long TestSoak runs")

// TestSoak lets 200 goroutines dial all kinds of targets in all kinds of ways for a long
// time, while targets fail and come back, callers give up and callbacks panic. Afterwards nothing is
// left behind, and all who count attempts agree:
//
//	go test -tags soak -timeout 0 -race ./systest -run Soak
func TestSoak(t *testing.T) {
	warmUp(t) // what the process keeps from its first dials is not a leak
	before := leftovers(t)
	t.Run("soak", func(t *testing.T) { newSoak(t).run(*soakFor) })
	var after left
	for range 200 { // the kernel and the runtime take a moment
		if after = leftovers(t); after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("before: %+v; after: %+v", before, after)
	assert.LessOrEqual(t, after.goroutines, before.goroutines)
	assert.LessOrEqual(t, after.descriptors, before.descriptors)
	assert.Less(t, after.heap, before.heap+4<<20, "bytes; a timer or a record for each dial would be more")
}

// left is what a process has.
type left struct {
	goroutines, descriptors int
	heap                    uint64
}

func leftovers(t *testing.T) left {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return left{runtime.NumGoroutine(), len(entries), testutil.Memory().HeapAlloc}
}

func warmUp(t *testing.T) {
	server := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo)
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// A soak is the world that TestSoak's goroutines dial in.
type soak struct {
	t       *testing.T
	targets []string // of tcp
	sockets []string
	dir     string // of unix sockets that dials bind to
	good    *countingServer
	dialers []*redial.Dialer
	counted *redial.Dialer // whose attempts everybody can count
	http    *http.Client
	url     string

	logged, attempts, shared            atomic.Int64 // of all dialers
	countedAttempts, connects           atomic.Int64 // of counted
	returned, closed                    atomic.Int64
	operations, failed, panics, givenUp atomic.Int64
	lost                                atomic.Int64 // by Reconnect
}

// A countingServer counts the connections that it accepts, and resets every third.
type countingServer struct {
	net.Listener
	accepted atomic.Int64
}

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, dir: t.TempDir()}
	s.good = &countingServer{}
	s.good.Listener = testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		if s.good.accepted.Add(1)%3 == 0 {
			conn.(*net.TCPConn).SetLinger(0)
			return
		}
		testutil.Echo(conn)
	})
	echo := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
	_, port, err := net.SplitHostPort(echo)
	require.NoError(t, err)
	silent := testutil.ListenSilent(t, net.JoinHostPort("127.0.0.2", port))
	dns := dnstest.Start(t, "127.0.0.1:0")
	dns.Set("good.test", dnstest.Addrs("127.0.0.1"))
	dns.Set("half.test", dnstest.Addrs("127.0.0.2", "127.0.0.3", "127.0.0.1"))
	dns.Set("failing.test", dnstest.ServFail)
	dns.Set("mute.test", dnstest.Silence)
	dns.Set("changing.test", slices.Repeat([]dnstest.Reply{
		dnstest.Addrs("127.0.0.1"), dnstest.NoSuchName, dnstest.Addrs("127.0.0.3"), dnstest.ServFail, dnstest.NoData, dnstest.Silence,
	}, 10_000)...)
	s.targets = []string{
		echo, silent, s.flap(), testutil.RefusingAddress(t, "tcp"), "bad address",
		"good.test:" + port, "half.test:" + port, "failing.test:80", "mute.test:80", "nobody.test:80",
		"changing.test:" + port,
	}
	s.sockets = []string{listenUnix(t, testutil.SocketPath(t)).Addr().String(), filepath.Join(s.dir, "missing")}

	web := &http.Server{Handler: testutil.Hello}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go web.Serve(listener)
	t.Cleanup(func() { web.Close() })
	s.url = "http://" + listener.Addr().String()

	gate := &redial.Gate{MinInterval: 10 * time.Millisecond}
	for _, resolver := range []*net.Resolver{dns.Resolver(), lyingResolver(t, dns)} {
		for _, g := range []*redial.Gate{nil, gate} {
			for _, verify := range []func(context.Context, net.Conn) error{nil, s.verify} {
				for _, once := range []int{0, 0, 1} {
					d := s.dialer(resolver)
					d.Gate, d.Verify, d.MaxAttempts = g, verify, once
					s.dialers = append(s.dialers, d)
				}
			}
		}
	}
	s.counted = s.dialer(nil)
	s.counted.Policy = redial.Policy{redial.Reset: redial.Exponential(time.Millisecond, 10*time.Millisecond)}
	s.counted.MaxElapsed = time.Hour
	s.counted.Timeout = time.Hour
	record := s.counted.OnAttempt
	s.counted.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		s.countedAttempts.Add(1)
		record(ctx, a)
	}
	s.http = &http.Client{Transport: redial.NewTransport(s.dialers[3], nil)}
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

// lyingResolver returns a resolver that asks dns by a server in between. It loses answers, sends them late,
// often, or mangled, each time in another way. What is asked over TCP reaches dns.
func lyingResolver(t *testing.T, dns *dnstest.Server) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1<<12)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			asked := slices.Clone(query[:n])
			go func() {
				m := &mangler{data: testutil.RandomBytes(rand.Int(), 60)}
				for range m.times() {
					select {
					case <-t.Context().Done():
						return
					case <-time.After(rand.N(time.Millisecond) * time.Duration(1<<rand.N(10))):
					}
					if good := dns.Answer(asked); good != nil {
						conn.WriteTo(m.mangle(good), from)
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		address := dns.Addr
		if network == "udp" {
			address = conn.LocalAddr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	})
}

// dialer returns a Dialer whose attempts are counted.
func (s *soak) dialer(resolver *net.Resolver) *redial.Dialer {
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: 200 * time.Millisecond, Resolver: resolver},
		MaxElapsed: 500 * time.Millisecond,
		Logger:     zap.New(&countingCore{zapcore.DebugLevel, &s.logged}),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			s.attempts.Add(1)
			if a.Shared {
				s.shared.Add(1)
			}
		},
		OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
			s.operations.Add(1)
			return ctx, func(r redial.Result) {
				if r.Err != nil {
					s.failed.Add(1)
				}
			}
		},
		OnLost: func(context.Context, redial.Loss) { s.lost.Add(1) },
	}
	return d
}

// A countingCore counts the records of attempts. (A dial that ends between two attempts is
// logged too, without an attempt's number.)
type countingCore struct {
	zapcore.LevelEnabler
	n *atomic.Int64
}

func (c *countingCore) With([]zapcore.Field) zapcore.Core { return c }
func (c *countingCore) Sync() error                       { return nil }
func (c *countingCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(e, c)
}

func (c *countingCore) Write(_ zapcore.Entry, fields []zapcore.Field) error {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	if _, ok := m.Fields["attempt"]; ok {
		c.n.Add(1)
	}
	return nil
}

// flap listens on a port now and then, until the test ends, and returns the address.
func (s *soak) flap() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	address := listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			serving := make(chan struct{})
			go func() {
				defer close(serving)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					conn.Close()
				}
			}()
			sleep(ctx, rand.N(300*time.Millisecond))
			listener.Close()
			<-serving
			for sleep(ctx, rand.N(300*time.Millisecond)); ctx.Err() == nil; sleep(ctx, time.Millisecond) {
				if listener, err = net.Listen("tcp", address); err == nil { // else a dial's socket has the port
					break
				}
			}
		}
		if err == nil {
			listener.Close()
		}
	})
	s.t.Cleanup(func() { cancel(); all.Wait() })
	return address
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *soak) run(duration time.Duration) {
	ctx, cancel := context.WithTimeout(s.t.Context(), duration)
	defer cancel()
	var workers sync.WaitGroup
	for range 200 {
		workers.Go(func() {
			for ctx.Err() == nil {
				s.operate()
			}
		})
	}
	workers.Wait()

	s.t.Logf("%d dials, %d failed, %d attempts (%d shared), %d panics, %d given up", s.operations.Load(), s.failed.Load(),
		s.attempts.Load(), s.shared.Load(), s.panics.Load(), s.givenUp.Load())
	s.t.Logf("at the server that counts: %d attempts, %d connects, %d accepted",
		s.countedAttempts.Load(), s.connects.Load(), s.good.accepted.Load())
	assert.NotZero(s.t, s.panics.Load())
	assert.NotZero(s.t, s.shared.Load())
	assert.NotZero(s.t, s.lost.Load())
	assert.NotZero(s.t, s.countedAttempts.Load())
	assert.Equal(s.t, s.attempts.Load(), s.logged.Load(), "OnAttempt and the logger")
	assert.Equal(s.t, s.countedAttempts.Load(), s.connects.Load(), "OnAttempt and httptrace")
	assert.Eventually(s.t, func() bool { return s.good.accepted.Load() == s.countedAttempts.Load() },
		10*time.Second, 10*time.Millisecond, "OnAttempt and the server")
	assert.Equal(s.t, s.returned.Load(), s.closed.Load())
	entries, err := os.ReadDir(s.dir)
	assert.NoError(s.t, err)
	assert.Empty(s.t, entries, "socket files")
}

// operate does one random thing. Some end in a panic or by runtime.Goexit, so each has a
// goroutine of its own.
func (s *soak) operate() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended := false
		defer func() {
			if v := recover(); v != nil || !ended {
				s.panics.Add(1)
			}
		}()
		s.operation()()
		ended = true
	}()
	<-done
}

func (s *soak) operation() func() {
	sane := s.dialers[rand.N(len(s.dialers))]
	d := sane
	if rand.N(10) == 0 {
		d = s.crashing(d)
	}
	ctx, cancel := s.context()
	target := s.targets[rand.N(len(s.targets))]
	dial := func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", target) }
	return [...]func(){
		func() { defer cancel(); s.use(dial(ctx)) },
		func() { defer cancel(); s.use(dial(ctx)) },
		func() { // detached, as by a pool
			defer cancel()
			s.use(dial(context.WithoutCancel(redial.Attach(ctx))))
		},
		func() {
			defer cancel()
			s.use(redial.Do(ctx, d, "tcp", target, dial))
		},
		func() {
			defer cancel()
			s.keep(ctx, d, target, dial)
		},
		func() {
			defer cancel()
			local := &net.UnixAddr{Net: "unix", Name: filepath.Join(s.dir, fmt.Sprint(rand.Uint64()))}
			conn, err := d.DialUnix(ctx, "unix", local, &net.UnixAddr{Net: "unix", Name: s.sockets[rand.N(len(s.sockets))]})
			if err == nil {
				s.use(conn, nil)
				os.Remove(local.Name) // the caller's own, as with net.Dialer
			}
		},
		func() {
			defer cancel()
			conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, netip.MustParseAddrPort(s.targets[rand.N(4)]))
			if err == nil {
				s.use(conn, nil)
			}
		},
		func() { // the Transport's dials outlive their requests
			defer cancel()
			testutil.Get(ctx, s.http, s.url)
		},
		func() {
			defer cancel()
			plain := &http.Transport{DialContext: sane.DialContext} // nobody could recover in its goroutine
			testutil.Get(redial.Attach(ctx), &http.Client{Transport: plain}, s.url)
			plain.CloseIdleConnections()
		},
		func() {
			defer cancel()
			s.dialCounted()
		},
	}[rand.N(10)]
}

// context returns the context of a caller who may give up.
func (s *soak) context() (context.Context, context.CancelFunc) {
	switch rand.N(4) {
	case 0:
		return context.WithTimeout(context.Background(), rand.N(300*time.Millisecond))
	case 1:
		ctx, cancel := context.WithCancelCause(context.Background())
		timer := time.AfterFunc(rand.N(200*time.Millisecond), func() {
			s.givenUp.Add(1)
			cancel(errors.New("given up"))
		})
		return ctx, func() { timer.Stop(); cancel(nil) }
	}
	return context.WithCancel(context.Background())
}

// crashing returns a Dialer like d with a callback that panics or exits.
func (s *soak) crashing(d *redial.Dialer) *redial.Dialer {
	crash := func() {
		if rand.N(2) == 0 {
			panic("crash")
		}
		runtime.Goexit()
	}
	c := *d
	switch rand.N(4) {
	case 0:
		c.Verify = func(context.Context, net.Conn) error { crash(); return nil }
	case 1:
		c.OnAttempt = func(ctx context.Context, a redial.Attempt) { d.OnAttempt(ctx, a); crash() }
	case 2:
		c.Classifier = func(error) redial.Class { crash(); return redial.Unknown }
	case 3:
		c.OnDial = func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
			return ctx, func(redial.Result) { crash() }
		}
	}
	return &c
}

// verify checks that the server echoes.
func (s *soak) verify(_ context.Context, conn net.Conn) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// use closes what a dial has returned.
func (s *soak) use(conn net.Conn, err error) {
	if err != nil {
		assert.Nil(s.t, conn)
		return
	}
	s.returned.Add(1)
	if conn.Close() == nil {
		s.closed.Add(1)
	}
}

// keep keeps a connection that breaks at once, a few times. What connected is closed, also if use panics.
func (s *soak) keep(ctx context.Context, d *redial.Dialer, target string, dial func(context.Context) (net.Conn, error)) {
	uses := 0
	redial.Reconnect(ctx, d, "tcp", target, func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		s.returned.Add(1)
		return keptConn{conn, &s.closed}, nil
	}, func(context.Context, net.Conn) error {
		uses++
		switch {
		case uses == 4:
			return nil
		case rand.N(20) == 0:
			panic("crash")
		}
		return io.EOF
	})
}

// A keptConn counts when it is closed.
type keptConn struct {
	net.Conn
	closed *atomic.Int64
}

func (c keptConn) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// dialCounted dials the server that counts. Nobody gives up and no time runs out, so each attempt is one
// connection of the server.
func (s *soak) dialCounted() {
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		ConnectStart: func(string, string) { s.connects.Add(1) },
	})
	s.use(s.counted.DialContext(ctx, "tcp", s.good.Addr().String()))
}
