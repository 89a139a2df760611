package redial_test

// These tests check in which order a dial tries the addresses of a name.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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

// hostsOf returns the addresses that a tried, without their port.
func hostsOf(a redial.Attempt) (hosts []string) {
	for _, r := range a.Addrs {
		hosts = append(hosts, r.Addr.Addr().String())
	}
	return hosts
}

// orders returns the numbers of the addresses that each attempt tried, from 1.
func (tr *track) orders() (all []string) {
	for _, a := range tr.attempts {
		order := ""
		for _, r := range a.Addrs {
			order += fmt.Sprint(r.Addr.Addr().As4()[3])
		}
		all = append(all, order)
	}
	return all
}

// An address that has failed comes after the others in the next attempt, and the one that failed first comes
// before those that failed later.
func TestFailedAddressesGoLast(t *testing.T) {
	for _, test := range []struct {
		name  string
		fates []fate
		want  []string
	}{
		{"all refuse", []fate{refused(0), refused(0), refused(0)}, []string{"123", "123", "123"}},
		{"the second takes longer", []fate{refused(0), refused(200 * ms), refused(0)}, []string{"123", "123", "123"}},
		{"the first takes longer", []fate{refused(400 * ms), refused(0), refused(0)}, []string{"123", "231", "231"}},
		{"the first is silent", []fate{silent, refused(0), refused(0)}, []string{"123", "231", "231"}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, test.fates...)
			tr.MaxAttempts = 3
			tr.Timeout = 2 * time.Second
			require.Error(t, tr.dial(t.Context()))
			assert.Equal(t, test.want, tr.orders())
		})
	}
	testutil.Bubble(t, "it comes back once it has connected", func(t *testing.T) {
		tr := newTrack(t, connects(0), connects(0))
		tr.MaxAttempts = 4
		checks := 0
		tr.Verify = func(context.Context, net.Conn) error {
			checks++
			return errors.Join(errorOf(dialtest.Reset), fmt.Errorf("check %d", checks))
		}
		require.Error(t, tr.dial(t.Context()))
		assert.Equal(t, []string{"12", "12", "12", "12"}, tr.orders())
	})
}

// The first address accepts, and then fails what checks it. The next attempt begins with the second one, and
// connects. It is so for Verify, for what a DialFunc does with the connection, and for Do.
func TestAddressThatFailsAfterItConnected(t *testing.T) {
	const never = time.Hour
	broken := errorOf(dialtest.Reset)
	for name, test := range map[string]struct {
		takes    time.Duration // until the first address fails
		attempts int           // where the check follows the dial
		within   time.Duration
	}{
		"it resets":    {0, 2, 150 * ms},
		"it is silent": {never, 2, 2150 * ms},
	} {
		check := func(ctx context.Context, conn net.Conn) error {
			if hostOf(conn) != addrOf(0) {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(test.takes):
				return broken
			}
		}
		// The dials are made by inner, in attempts of outer.
		dialers := func(t *testing.T) (inner *track, outer *redial.Dialer) {
			inner = newTrack(t, connects(0), connects(0))
			outer = &redial.Dialer{}
			outer.Timeout = 2 * time.Second
			return inner, outer
		}
		begin := func(inner *track) func(ctx context.Context, network, address string) (net.Conn, error) {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := inner.DialContext(ctx, network, address)
				if err == nil {
					if err = check(ctx, conn); err != nil {
						conn.Close()
						return nil, err
					}
				}
				return conn, err
			}
		}
		testutil.Bubble(t, name+", Verify", func(t *testing.T) {
			tr := newTrack(t, connects(0), connects(0))
			tr.Timeout = 2 * time.Second
			tr.Verify = check
			a, conn := tr.race(t, t.Context())
			require.NotNil(t, conn)
			assert.Equal(t, addrOf(1), hostOf(conn))
			assert.LessOrEqual(t, a.Elapsed, time.Second)
		})
		testutil.Bubble(t, name+", DialFunc", func(t *testing.T) {
			inner, outer := dialers(t)
			outer.DialFunc = begin(inner)
			start := time.Now()
			conn, err := outer.DialContext(t.Context(), "udp4", trackName+":80")
			require.NoError(t, err)
			conn.Close()
			assert.LessOrEqual(t, time.Since(start), test.within)
			assert.Equal(t, []string{"1", "2"}, inner.orders())
		})
		testutil.Bubble(t, name+", Do", func(t *testing.T) {
			inner, outer := dialers(t)
			start := time.Now()
			conn, err := redial.Do(t.Context(), outer, "udp4", "the pool", func(ctx context.Context) (net.Conn, error) {
				return begin(inner)(ctx, "udp4", trackName+":80")
			})
			require.NoError(t, err)
			conn.Close()
			assert.LessOrEqual(t, time.Since(start), test.within)
			assert.Equal(t, []string{"1", "2"}, inner.orders())
		})
	}
}

// What the caller has cut off at once says nothing about an address, and leaves the order as it was.
func TestCanceledAddressKeepsItsPlace(t *testing.T) {
	for canceled, want := range map[time.Duration][]string{
		299 * ms: {"1", "1"},
		400 * ms: {"12", "21"}, // the first was silent for that long, the second for 100 ms
	} {
		testutil.Bubble(t, canceled.String(), func(t *testing.T) {
			tr := newTrack(t, silent, silent)
			outer := &redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{redial.Unknown: every(time.Second)}}
			_, err := redial.Do(t.Context(), outer, "tcp", "the pool", func(ctx context.Context) (int, error) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				time.AfterFunc(canceled, cancel)
				assert.ErrorIs(t, tr.dial(ctx), context.Canceled)
				return 0, errCustom
			})
			require.ErrorIs(t, err, errCustom)
			assert.Equal(t, want, tr.orders())
		})
	}
}

// Nor does it say anything about an address that has connected.
func TestCanceledHandshakeKeepsTheOrder(t *testing.T) {
	for name, want := range map[string][]string{"the caller gives up": {"1", "1"}, "only the handshake does": {"1", "2"}} {
		testutil.Bubble(t, name, func(t *testing.T) {
			tr := newTrack(t, connects(0), connects(0))
			outer := &redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{redial.Unknown: every(time.Second)}}
			outer.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				_, err := redial.Do(ctx, &redial.Dialer{}, network, address, func(ctx context.Context) (int, error) {
					require.NoError(t, tr.dial(ctx))
					if want[0] == want[1] {
						cancel()
					}
					return 0, context.Canceled
				})
				assert.ErrorIs(t, err, context.Canceled)
				return nil, errCustom
			}
			_, err := outer.DialContext(t.Context(), "tcp", address)
			require.ErrorIs(t, err, errCustom)
			assert.Equal(t, want, tr.orders())
		})
	}
}

// An attempt tries at most 64 addresses. The next one begins with those that have not been tried.
func TestManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, times(69, refused(0), connects(0))...)
		require.NoError(t, tr.dial(t.Context()))
		require.Len(t, tr.attempts, 2)
		assert.Len(t, tr.attempts[0].Addrs, 64)
		var want []string
		for i := 64; i < 70; i++ {
			want = append(want, addrOf(i).String())
		}
		assert.Equal(t, want, hostsOf(tr.attempts[1]))
	})
}

// The last attempt tries them all.
func TestLastAttemptTriesAllAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, times(140, refused(0))...)
		tr.MaxAttempts = 2
		require.Error(t, tr.dial(t.Context()))
		assert.Len(t, tr.attempts[0].Addrs, 64)
		assert.Len(t, tr.attempts[1].Addrs, 140)
	})
}

// What one dial learned about the addresses does not outlive it, without a Gate or a Transport.
func TestOrderOfTheNextDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(0))
		require.NoError(t, tr.dial(t.Context()))
		require.NoError(t, tr.dial(t.Context()))
		assert.Equal(t, []string{"12", "12"}, tr.orders())
	})
}

// While addresses are silent, the two families take turns, from the first address on. Package net decides the order
// within a family (RFC 8305, section 4). With a negative FallbackDelay, it is the order of package net.
func TestFamiliesTakeTurns(t *testing.T) {
	for _, addrs := range [][]string{
		{"192.0.2.1"},
		{"2001:db8::a", "2001:db8::b", "2001:db8::c"},
		{"2001:db8::a", "2001:db8::b", "192.0.2.1", "192.0.2.2"},
		{"2001:db8::a", "192.0.2.1", "192.0.2.2", "192.0.2.3"},
		{"2001:db8::a", "2001:db8::b", "2001:db8::c", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.2", "2001:db8::a", "2001:db8::b"},
		{"192.0.2.1", "2001:db8::a", "2001:db8::b", "192.0.2.1"},
	} {
		testutil.Bubble(t, fmt.Sprint(addrs), func(t *testing.T) {
			tr := newTrack(t)
			tr.dns.Set("name.test", dnstest.Addrs(addrs...))
			tr.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error { // nothing is sent
				<-ctx.Done()
				return ctx.Err()
			}
			tr.MaxAttempts = 1
			ips, err := tr.Resolver.LookupNetIP(t.Context(), "ip", trackName)
			require.NoError(t, err)
			var inOrder []string
			var families [2][]string // that of the first address, and the other
			for _, ip := range ips {
				if text := ip.String(); !slices.Contains(inOrder, text) {
					inOrder = append(inOrder, text)
					family := &families[0]
					if ip.Is4() != ips[0].Is4() {
						family = &families[1]
					}
					*family = append(*family, text)
				}
			}
			var inTurns []string
			for i := range inOrder {
				for _, family := range families {
					inTurns = append(inTurns, family[min(i, len(family)):min(i+1, len(family))]...)
				}
			}
			_, err = tr.DialContext(t.Context(), "tcp", trackName+":80")
			require.Error(t, err)
			assert.Equal(t, inTurns, hostsOf(tr.attempts[0]))

			tr.FallbackDelay = -1
			_, err = tr.DialContext(t.Context(), "tcp", trackName+":80")
			require.Error(t, err)
			assert.Equal(t, inOrder, hostsOf(tr.attempts[1]))
		})
	}
}

// A dial tries the addresses that LocalAddr can reach, each once. If it can reach none, it tries the first, whose
// error says what is wrong with LocalAddr.
func TestAddressesFitLocalAddr(t *testing.T) {
	const v4, v6, any4 = "192.0.2.1", "2001:db8::1", "0.0.0.0"
	for _, test := range []struct {
		name  string
		local net.Addr
		addrs []string
		want  []string
	}{
		{"no LocalAddr", nil, []string{v6, v4}, []string{v6, v4}},
		{"v4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, []string{v6, v4}, []string{v4}},
		{"v6", &net.TCPAddr{IP: net.IPv6loopback}, []string{v6, v4}, []string{v6}},
		{"a port only", &net.TCPAddr{Port: 1}, []string{v6, v4}, []string{v6, v4}},
		{"unspecified", &net.TCPAddr{IP: net.IPv6unspecified}, []string{v6, v4}, []string{v6, v4}},
		{"a nil pointer", (*net.TCPAddr)(nil), []string{v6, v4}, []string{v6, v4}},
		{"to the unspecified, among others", &net.TCPAddr{IP: net.IPv6loopback}, []string{v4, any4, v6}, []string{any4, v6}},
		{"none of the family", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, []string{v6, v6}, []string{v6}},
		{"of another network", &net.UDPAddr{}, []string{v4, v6}, []string{v4, v6}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t)
			tr.dns.Set("name.test", dnstest.Addrs(test.addrs...))
			tr.ControlContext = func(context.Context, string, string, syscall.RawConn) error { return errCustom }
			tr.MaxAttempts = 1
			tr.LocalAddr = test.local
			_, err := tr.DialContext(t.Context(), "tcp", trackName+":80")
			require.Error(t, err)
			assert.ElementsMatch(t, test.want, hostsOf(tr.attempts[0]), "net decides about their order")
		})
	}
}

// While the addresses of one family are silent, those of the other follow each other without a delay.
func TestSilentFamilyDoesNotHoldUpTheOther(t *testing.T) {
	for name, quiet := range map[string]bool{"IPv6": false, "IPv4": true} {
		testutil.Bubble(t, name+" is silent", func(t *testing.T) {
			tr := newTrack(t)
			tr.dns.Set("name.test", dnstest.Addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::a", "2001:db8::b", "2001:db8::c"))
			tr.ControlContext = func(ctx context.Context, _, address string, _ syscall.RawConn) error {
				if netip.MustParseAddrPort(address).Addr().Is4() == quiet {
					<-ctx.Done()
					return ctx.Err()
				}
				return errCustom
			}
			tr.MaxAttempts = 1
			start := time.Now()
			_, err := tr.DialContext(t.Context(), "tcp", trackName+":80")
			require.Error(t, err)
			last := start
			for _, a := range tr.attempts[0].Addrs {
				if a.Addr.Addr().Is4() != quiet {
					last = a.Start
				}
			}
			most := 300 * ms
			if first := tr.attempts[0].Addrs[0].Addr.Addr(); first.Is4() != quiet {
				most = 0
			}
			assert.LessOrEqual(t, last.Sub(start), most, "the family that answers is through")
		})
	}
}

// However often the addresses of one family refuse, the other family has its turn in time.
func TestRefusingFamilyDoesNotHoldUpTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, times(10, refused(200*ms))...)
		six := []string{"2001:db8::a", "2001:db8::b"}
		addrs := []string{six[0], six[1]}
		for i := range 10 {
			addrs = append(addrs, addrOf(i).String())
		}
		for _, addr := range six {
			tr.fates[netip.MustParseAddr(addr)] = silent
		}
		tr.dns.Set("name.test", dnstest.Addrs(addrs...))
		tr.MaxAttempts = 1
		_, err := tr.DialContext(t.Context(), "udp", trackName+":80")
		require.Error(t, err)
		var starts []time.Duration
		for _, a := range tr.attempts[0].Addrs {
			if a.Addr.Addr().Is6() {
				starts = append(starts, a.Start.Sub(tr.attempts[0].Start))
			}
		}
		require.Len(t, starts, 2)
		assert.LessOrEqual(t, starts[1], 600*ms)
	})
}
