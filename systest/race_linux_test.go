package systest_test

// These tests race addresses through a real kernel, in a network namespace in which some addresses
// swallow packets, as a firewall does.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// The addresses of raceNetwork. The good ones accept at racePort, and the refusing one refuses. The
// dead ones swallow every packet. There is no route to noRoute6.
const (
	racePort = "7777"
	good4    = "192.0.2.1"
	refusing = "192.0.2.2"
	good6    = "2001:db8:1::1"
	dead6    = "2001:db8:1::2"
	noRoute6 = "2001:db8:9::1"
)

func dead4(i int) string { return fmt.Sprint("198.51.100.", i) }

// raceNetwork adds these addresses, and starts a DNS server for the system's resolver.
func raceNetwork(t *testing.T) *dnstest.Server {
	skipWithoutIPv6(t)
	for _, own := range []string{good4 + "/32", refusing + "/32", good6 + "/128", dead6 + "/128"} {
		addAddress(t, own)
	}
	swallow(t, "198.51.100.0/24")
	// The kernel reports a swallowed IPv6 SYN as an error after a second. A listener with a full
	// backlog stays silent.
	addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[" + dead6 + "]:" + racePort))
	_, full := testutil.ListenFull(t, syscall.AF_INET6, &syscall.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP)}, func(int) (net.Conn, error) {
		return net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
	})
	require.Equal(t, redial.Timeout, redial.Classify(full))
	for _, ip := range []string{good4, good6} {
		testutil.Listen(t, "tcp", net.JoinHostPort(ip, racePort), testutil.Echo)
	}
	return dnstest.Start(t, "127.0.0.1:53")
}

// outcomes returns the outcome of each address of an attempt, as "address class".
func outcomes(a redial.Attempt) (all []string) {
	for _, r := range a.Addrs {
		all = append(all, strings.TrimSuffix(strings.Trim(r.Addr.Addr().String(), "[]")+" "+r.Class.String(), " unknown"))
	}
	return all
}

func TestRaceRealAddresses(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := raceNetwork(t)
		tests := []struct {
			name   string
			addrs  []string
			remote string // "" if no address connects
			class  redial.Class
			want   []string // in the resolver's order (RFC 6724)
			within time.Duration
		}{
			{"hole-good.test", []string{dead4(1), good4}, good4, 0, []string{dead4(1) + " canceled", good4}, 2 * time.Second},
			{"hole3-good.test", []string{dead4(1), dead4(2), dead4(3), good4}, good4, 0,
				[]string{dead4(1) + " canceled", dead4(2) + " canceled", dead4(3) + " canceled", good4}, 3 * time.Second},
			{"hole4-good.test", []string{dead4(1), dead4(2), dead4(3), dead4(4), good4}, good4, 0,
				[]string{dead4(1) + " canceled", dead4(2) + " canceled", dead4(3) + " canceled", dead4(4) + " canceled", good4}, 3 * time.Second},
			{"hole6-good4.test", []string{dead6, good4}, good4, 0, []string{dead6 + " canceled", good4}, 2 * time.Second},
			{"refused3-good.test", []string{refusing, "192.0.2.3", "192.0.2.4", good4}, good4, 0,
				[]string{refusing + " refused", "192.0.2.3 refused", "192.0.2.4 refused", good4}, time.Second},
			{"noroute6-refused4.test", []string{noRoute6, refusing}, "", redial.Refused, []string{refusing + " refused", noRoute6 + " unreachable"}, time.Second},
			{"hole6-refused4.test", []string{dead6, refusing}, "", redial.Refused, []string{dead6 + " timeout", refusing + " refused"}, 5 * time.Second},
		}
		addAddress(t, "192.0.2.3/32")
		addAddress(t, "192.0.2.4/32")
		for _, test := range tests {
			server.Set(test.name, dnstest.Addrs(test.addrs...))
		}

		// net.Dialer dials the same names, for comparison. It gives each address at least 2 s. All
		// its dials run concurrently, because they take seconds.
		const plainTimeout = 4 * time.Second
		took := make([]time.Duration, len(tests))
		var plain sync.WaitGroup
		for i, test := range tests {
			plain.Go(func() {
				start := time.Now()
				conn, err := (&net.Dialer{Timeout: plainTimeout}).Dial("tcp", test.name+":"+racePort)
				if took[i] = time.Since(start); err == nil {
					conn.Close()
				}
			})
		}
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				// Look only at the first of several attempts. The last one would wait for silent
				// addresses until its end.
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var seen []redial.Attempt
				d := &redial.Dialer{OnAttempt: func(_ context.Context, a redial.Attempt) {
					seen = append(seen, a)
					cancel()
				}}
				d.Timeout = 10 * time.Second
				start := time.Now()
				conn, err := d.DialContext(ctx, "tcp", test.name+":"+racePort)
				elapsed := time.Since(start)
				require.Len(t, seen, 1)
				assert.Less(t, elapsed, test.within)
				assert.Equal(t, test.want, outcomes(seen[0]))
				assert.Positive(t, seen[0].Resolve)
				assert.Less(t, seen[0].Resolve, seen[0].Duration)
				if test.remote == "" {
					assert.Error(t, err)
					assert.Equal(t, test.class, seen[0].Class)
					assert.ErrorIs(t, seen[0].Err, syscall.ECONNREFUSED)
				} else {
					require.NoError(t, err)
					testutil.AssertEchoes(t, conn)
					assert.Equal(t, net.JoinHostPort(test.remote, racePort), conn.RemoteAddr().String())
					conn.Close()
				}
				if i == len(tests)-1 {
					plain.Wait()
				}
				t.Logf("redial %v", elapsed.Round(time.Millisecond))
			})
		}
		for i, test := range tests {
			t.Logf("%-24s net.Dialer with Timeout %v: %v", test.name, plainTimeout, took[i].Round(time.Millisecond))
		}
		assert.Greater(t, took[2], 3*time.Second, "net.Dialer with four dead addresses before the good one")
	})
}

// If all addresses of an attempt fail, its record and its error show each of them.
func TestRaceRecordsEveryAddress(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := raceNetwork(t)
		server.Set("all.test", dnstest.Addrs(dead6, refusing, dead4(1)))
		core, logs := observer.New(zapcore.DebugLevel)
		d := &redial.Dialer{Logger: zap.New(core), MaxAttempts: 2, Policy: atOnce()}
		d.Timeout = time.Second
		_, err := d.Dial("tcp", "all.test:"+racePort)
		e, ok := errors.AsType[*redial.Error](err)
		require.True(t, ok)
		assert.Equal(t, redial.Refused, e.Class)
		require.Len(t, e.History, 2)
		assert.Equal(t, []string{dead6 + " timeout", refusing + " refused", dead4(1) + " timeout"}, outcomes(e.History[0]))
		assert.Equal(t, refusing+" refused", outcomes(e.History[1])[0], "the others failed later")
		for i, a := range e.History {
			assert.Len(t, a.Addrs, 3)
			for _, r := range a.Addrs {
				assert.False(t, r.Start.Before(a.Start))
				assert.Positive(t, r.Duration)
				assert.Error(t, r.Err)
			}
			fields := logs.All()[i].ContextMap()
			assert.Equal(t, a.Resolve, fields["resolve"])
			addrs := fields["addrs"].([]any)
			require.Len(t, addrs, 3)
			refused := 1 - i // in which place
			logged := addrs[refused].(map[string]any)
			assert.Equal(t, refusing+":"+racePort, logged["addr"])
			assert.Equal(t, "refused", logged["class"])
			assert.Equal(t, "connection refused", logged["errno"])
			assert.Contains(t, logged["error"], "dial tcp "+refusing)
			assert.Equal(t, a.Addrs[refused].Duration, logged["duration"])
		}
		enc := zapcore.NewMapObjectEncoder()
		require.NoError(t, e.MarshalLogObject(enc))
		assert.Len(t, enc.Fields["history"].([]any)[1].(map[string]any)["addrs"], 3)

		op := err.(*net.OpError)
		assert.Equal(t, "dial", op.Op)
		assert.Equal(t, refusing+":"+racePort, op.Addr.String())
	})
}

// If at most one address is dialed, the error is the same as net.Dialer's.
func TestRaceErrorsAreNetDialers(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := raceNetwork(t)
		server.Set("refused.test", dnstest.Addrs(refusing))
		server.Set("six.test", dnstest.Addrs(good6))
		server.Set("none.test", dnstest.NoData)
		require.NoError(t, os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\n"+good4+" hosts4.test\n"), 0o644))
		for _, test := range []struct {
			network, address string
			local            net.Addr
		}{
			{"tcp", "refused.test:" + racePort, nil},
			{"tcp4", "refused.test:" + racePort, nil},
			{"tcp6", "refused.test:" + racePort, nil},
			{"tcp", "none.test:" + racePort, nil},
			{"tcp", "missing.test:" + racePort, nil},
			{"tcp", "refused.test:no-such-service", nil},
			{"tcp", "refused.test:99999", nil},
			{"tcp", "refused.test", nil},
			{"tcp", "refused.test:1:2", nil},
			{"tcp4", "six.test:" + racePort, nil},
			{"tcp", "six.test:" + racePort, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}},
			{"tcp", "refused.test:" + racePort, &net.TCPAddr{IP: net.ParseIP(good6)}},
			{"tcp", "refused.test:" + racePort, &net.TCPAddr{IP: net.ParseIP(good4)}},
			{"tcp", "refused.test:" + racePort, &net.UDPAddr{}},
			{"tcp6", "hosts4.test:" + racePort, nil},
		} {
			t.Run(fmt.Sprint(test.network, " ", test.address, " from ", test.local), func(t *testing.T) {
				plain := net.Dialer{Timeout: 10 * time.Second, LocalAddr: test.local}
				_, want := plain.Dial(test.network, test.address)
				require.Error(t, want)
				_, err := (&redial.Dialer{Dialer: plain, MaxAttempts: 1}).Dial(test.network, test.address)
				assert.Equal(t, withLongIP(want), withLongIP(err))
			})
		}
	})
}

// withLongIP returns err with its IP address in the 16-byte form. A resolver may return an IPv4
// address in either of its two forms.
func withLongIP(err error) error {
	op := *err.(*net.OpError)
	if addr, ok := op.Addr.(*net.TCPAddr); ok {
		op.Addr = &net.TCPAddr{IP: addr.IP.To16(), Port: addr.Port, Zone: addr.Zone}
	}
	return &op
}

// redial calls the hooks of a Dialer and of httptrace as net.Dialer calls them.
func TestRaceHooks(t *testing.T) {
	inNamespace(t, []string{"GODEBUG=netdns=go"}, func(t *testing.T) {
		server := raceNetwork(t)
		server.Set("two.test", dnstest.Addrs(refusing, good4))
		events := func(dial func(ctx context.Context, network, address string) (net.Conn, error)) (all []string) {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				DNSStart: func(i httptrace.DNSStartInfo) { all = append(all, "DNSStart "+i.Host) },
				DNSDone:  func(i httptrace.DNSDoneInfo) { all = append(all, fmt.Sprint("DNSDone ", i.Addrs, i.Err)) },
				ConnectStart: func(network, addr string) {
					all = append(all, fmt.Sprint("ConnectStart ", network, " ", addr))
				},
				ConnectDone: func(network, addr string, err error) {
					all = append(all, fmt.Sprint("ConnectDone ", network, " ", addr, " ", err))
				},
			})
			conn, err := dial(ctx, "tcp", "two.test:"+racePort)
			require.NoError(t, err)
			conn.Close()
			return all
		}
		var controlled []string
		control := func(network, address string, _ syscall.RawConn) error {
			controlled = append(controlled, network+" "+address)
			return nil
		}
		plain := net.Dialer{Timeout: 10 * time.Second, Control: control}
		want := events(plain.DialContext)
		assert.Len(t, want, 6)
		wantControlled := controlled
		controlled = nil
		assert.Equal(t, want, events((&redial.Dialer{Dialer: plain}).DialContext))
		assert.Equal(t, wantControlled, controlled)

		// Hooks for connections alone do not see the connections to the DNS server either.
		var started []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			ConnectStart: func(_, addr string) { started = append(started, addr) },
		})
		conn, err := (&redial.Dialer{}).DialContext(ctx, "tcp", "two.test:"+racePort)
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, []string{refusing + ":" + racePort, good4 + ":" + racePort}, started)
	})
}

// Dials connect to every form of a name's address, from every form of local address.
func TestRaceNames(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := raceNetwork(t)
		server.Set("both.test", dnstest.Addrs(good6, good4))
		server.Set("two.test", dnstest.Addrs(refusing, good4))
		server.Set("silent.test", dnstest.Addrs(dead4(1), good4))
		addAddress(t, "fe80::77/128")
		testutil.Listen(t, "tcp", "[fe80::77%lo]:"+racePort, testutil.Echo)
		require.NoError(t, os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\nfe80::77%lo zoned.test\n"+good4+" hosts.test\n"+
			refusing+" hosts2.test\n"+good4+" hosts2.test\n"), 0o644))
		require.NoError(t, os.WriteFile("/etc/services", []byte("racing "+racePort+"/tcp\n"), 0o644))
		for _, test := range []struct {
			network, address string
			local            net.Addr
			remote           string
		}{
			{"tcp", "both.test:" + racePort, nil, good6},
			{"tcp4", "both.test:" + racePort, nil, good4},
			{"tcp6", "both.test:" + racePort, nil, good6},
			{"tcp", "both.test:racing", nil, good6},
			{"tcp", "hosts.test:" + racePort, nil, good4},
			{"tcp", "zoned.test:" + racePort, nil, "fe80::77%lo"},
			{"tcp6", "zoned.test:" + racePort, nil, "fe80::77%lo"},
			{"tcp", "both.test:" + racePort, &net.TCPAddr{IP: net.ParseIP(good4)}, good4},
			{"tcp", "both.test:" + racePort, &net.TCPAddr{Port: 5555}, good6},
			{"tcp", "two.test:" + racePort, &net.TCPAddr{Port: 5556}, good4},
			{"tcp", "silent.test:" + racePort, &net.TCPAddr{Port: 5557}, good4}, // dialed one after the other, because they share the local port
		} {
			t.Run(fmt.Sprint(test.network, " ", test.address, " from ", test.local), func(t *testing.T) {
				d := &redial.Dialer{MaxAttempts: 1}
				d.Timeout = 4 * time.Second
				d.LocalAddr = test.local
				conn, err := d.Dial(test.network, test.address)
				require.NoError(t, err)
				defer conn.Close()
				require.IsType(t, &net.TCPConn{}, conn)
				testutil.AssertEchoes(t, conn)
				assert.Equal(t, net.JoinHostPort(test.remote, racePort), conn.RemoteAddr().String())
				if local, ok := test.local.(*net.TCPAddr); ok && local.Port != 0 {
					assert.Equal(t, local.Port, conn.LocalAddr().(*net.TCPAddr).Port)
					conn.(*net.TCPConn).SetLinger(0) // so that the port is not left in TIME_WAIT
				}
			})
		}

		// /etc/hosts yields IPv4 addresses in their 16-byte form, which must not be mistaken for
		// IPv6. The first of the two addresses refuses.
		for _, network := range []string{"tcp", "tcp4"} {
			for _, local := range []net.Addr{nil, &net.TCPAddr{IP: net.ParseIP(good4)}} {
				var seen redial.Attempt
				d := &redial.Dialer{MaxAttempts: 1, OnAttempt: func(_ context.Context, a redial.Attempt) { seen = a }}
				d.LocalAddr = local
				conn, err := d.Dial(network, "hosts2.test:"+racePort)
				require.NoError(t, err)
				conn.Close()
				assert.Equal(t, []string{refusing + " refused", good4}, outcomes(seen))
			}
		}

		// Without racing, the attempt has a record of its addresses all the same.
		var seen redial.Attempt
		d := &redial.Dialer{OnAttempt: func(_ context.Context, a redial.Attempt) { seen = a }}
		d.FallbackDelay = -1
		conn, err := d.Dial("tcp", "both.test:"+racePort)
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, []string{good6}, outcomes(seen))
		assert.Positive(t, seen.Resolve)
	})
}

// A race ends when its context is canceled. The error is the cancellation, even if another address
// refused before.
func TestRaceCanceledAtSecondAddress(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := raceNetwork(t)
		server.Set("two.test", dnstest.Addrs(refusing, dead4(1)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := &redial.Dialer{}
		d.Control = func(_, address string, _ syscall.RawConn) error {
			if strings.HasPrefix(address, dead4(1)) {
				cancel()
			}
			return nil
		}
		_, err := d.DialContext(ctx, "tcp", "two.test:"+racePort)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, redial.Canceled, redial.Classify(err))
	})
}

// An address that connects to itself does not win the race against an address where something
// listens.
func TestRaceSelfConnect(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		server := dnstest.Start(t, "127.0.0.1:53")
		server.Set("itself.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
		testutil.Listen(t, "tcp", "127.0.0.2:"+racePort, testutil.Echo)
		var seen redial.Attempt
		d := &redial.Dialer{MaxAttempts: 1, OnAttempt: func(_ context.Context, a redial.Attempt) { seen = a }}
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:" + racePort))
		d.Control = func(_, _ string, c syscall.RawConn) (err error) {
			control := c.Control(func(fd uintptr) { // the first socket leaves the port in TIME_WAIT
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			})
			return errors.Join(err, control)
		}
		conn, err := d.Dial("tcp", "itself.test:"+racePort)
		require.NoError(t, err)
		defer conn.Close()
		testutil.AssertEchoes(t, conn)
		assert.Equal(t, []string{"127.0.0.1 refused", "127.0.0.2"}, outcomes(seen))
	})
}
