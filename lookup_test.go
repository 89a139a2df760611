package redial_test

// These tests look up names by a DNS server in memory, in virtual time.

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
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

// tell makes the track's DNS server tell the addresses of its fates, each reply after the given time.
func (tr *track) tell(addrs []int, after time.Duration) {
	var texts []string
	for _, i := range addrs {
		texts = append(texts, addrOf(i).String())
	}
	tr.dns.Set("name.test", dnstest.Addrs(texts...).After(after))
}

// dial dials the track's name, and closes the connection.
func (tr *track) dial(ctx context.Context) error {
	conn, err := tr.DialContext(ctx, "udp4", trackName+":80")
	if err == nil {
		conn.Close()
	}
	return err
}

// The look-up goes on when an attempt's time is up. The next attempt takes its answer, also if the
// answer comes between the two, so that a slow resolver is asked once.
func TestLookupOutlivesItsAttempt(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers time.Duration
		delay   time.Duration // between two attempts
		ends    time.Duration
		resolve time.Duration // by the second attempt
	}{
		{"the answer comes in the second attempt", 2500 * ms, 100 * ms, 2500 * ms, 400 * ms},
		{"the answer comes between two attempts", 2500 * ms, time.Second, 3 * time.Second, 0},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, connects(0))
			tr.tell([]int{0}, test.answers)
			tr.Timeout = 2 * time.Second
			tr.Policy = redial.Policy{redial.Timeout: every(test.delay), redial.DNS: every(test.delay)}
			start := time.Now()
			require.NoError(t, tr.dial(t.Context()))
			assert.Equal(t, test.ends, time.Since(start))
			assert.Equal(t, 1, tr.dns.Asked("name.test"))
			require.Len(t, tr.attempts, 2)
			assert.Equal(t, redial.DNS, tr.attempts[0].Class)
			assert.ErrorIs(t, tr.attempts[0].Err, context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, tr.attempts[0].Resolve)
			assert.Equal(t, test.resolve, tr.attempts[1].Resolve)
		})
	}
}

// An answer that comes as the attempt's time is up serves the next attempt.
func TestLookupAnswersAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(50*ms))
		tr.tell([]int{0}, 1990*ms)
		tr.Timeout = 2 * time.Second
		tr.Policy = redial.Policy{redial.Timeout: every(100 * ms)}
		start := time.Now()
		require.NoError(t, tr.dial(t.Context()))
		assert.Equal(t, 2150*ms, time.Since(start))
		assert.Equal(t, 1, tr.dns.Asked("name.test"))
	})
}

// An answer that the attempt had time to use does not.
func TestLookupIsNotUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, silent)
		tr.tell([]int{0}, 1600*ms)
		tr.Timeout, tr.MaxAttempts = 2*time.Second, 2
		tr.Policy = redial.Policy{redial.Timeout: every(100 * ms)}
		require.Error(t, tr.dial(t.Context()))
		assert.Equal(t, 2, tr.dns.Asked("name.test"))
	})
}

// Dials nested in the attempts of Do know of a name what Do's own attempts would: the look-up goes on,
// and a name that has resolved exists. What they leave ends with Do.
func TestLookupOfNestedDials(t *testing.T) {
	do := func(t *testing.T, tr *track, timeout time.Duration) error {
		outer := &redial.Dialer{Policy: redial.Policy{redial.DNS: every(100 * ms), redial.Refused: every(100 * ms)}, MaxElapsed: 10 * time.Second}
		outer.Timeout = timeout
		_, err := redial.Do(t.Context(), outer, "udp", "the pool", func(ctx context.Context) (int, error) { return 0, tr.dial(ctx) })
		return err
	}
	testutil.Bubble(t, "a look-up that needs longer than an attempt", func(t *testing.T) {
		tr := newTrack(t, connects(0))
		tr.tell([]int{0}, 2500*ms)
		start := time.Now()
		require.NoError(t, do(t, tr, time.Second))
		assert.Equal(t, 2500*ms, time.Since(start))
		assert.Equal(t, 1, tr.dns.Asked("name.test"))
	})
	testutil.Bubble(t, "a look-up that never ends", func(t *testing.T) {
		tr := newTrack(t, connects(0))
		tr.dns.Set("name.test", dnstest.Silence)
		require.Error(t, do(t, tr, time.Second))
		asked := tr.dns.Asked("name.test")
		time.Sleep(time.Minute)
		assert.Equal(t, asked, tr.dns.Asked("name.test"))
	})
	testutil.Bubble(t, "a dial that ends after Do", func(t *testing.T) {
		tr := newTrack(t, connects(0))
		tr.dns.Set("name.test", dnstest.Silence)
		over, ended := make(chan struct{}), make(chan struct{})
		tr.OnAttempt = func(context.Context, redial.Attempt) { <-over }
		outer := &redial.Dialer{MaxAttempts: 1}
		_, err := redial.Do(t.Context(), outer, "udp", "the pool", func(ctx context.Context) (int, error) {
			go func() { tr.dial(ctx); close(ended) }()
			time.Sleep(time.Second)
			return 0, errCustom
		})
		require.Error(t, err)
		close(over)
		<-ended
		asked := tr.dns.Asked("name.test")
		time.Sleep(time.Minute)
		assert.Equal(t, asked, tr.dns.Asked("name.test"))
	})
	testutil.Bubble(t, "a name that goes away for a second", func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(250*ms, func() { tr.dns.Set("name.test", dnstest.NoSuchName) })
		time.AfterFunc(1250*ms, func() { tr.tell([]int{1}, 0) })
		start := time.Now()
		require.NoError(t, do(t, tr, time.Second))
		assert.Equal(t, 1300*ms, time.Since(start))
	})
}

// A look-up ends with the dial.
func TestLookupEndsWithTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := time.Duration(0)
		start := time.Now()
		d := &redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{redial.DNS: every(time.Second)}}
		d.Timeout = time.Second
		d.Resolver = dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			ended = time.Since(start)
			return nil, ctx.Err()
		})
		_, err := d.DialContext(t.Context(), "udp4", trackName+":80")
		assert.Equal(t, redial.DNS, redial.Classify(err))
		time.Sleep(time.Hour) // virtual
		synctest.Wait()
		assert.Equal(t, 3*time.Second, ended)
	})
}

// The hooks of net/http/httptrace are called in the goroutine that dials, once for each attempt that begins
// a look-up. An attempt that takes the answer of an earlier look-up calls none.
func TestLookupTrace(t *testing.T) {
	testutil.Bubble(t, "one look-up for two attempts", func(t *testing.T) {
		tr := newTrack(t, connects(0))
		tr.tell([]int{0}, 2500*ms)
		tr.Timeout = 2 * time.Second
		var calls []string
		err := tr.dial(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			DNSStart: func(info httptrace.DNSStartInfo) { calls = append(calls, "start "+info.Host) },
			DNSDone: func(info httptrace.DNSDoneInfo) {
				assert.ErrorIs(t, info.Err, context.DeadlineExceeded)
				assert.Empty(t, info.Addrs)
				calls = append(calls, "done")
			},
		}))
		require.NoError(t, err)
		assert.Equal(t, []string{"start name.test.", "done"}, calls)
	})
	testutil.Bubble(t, "one look-up for each attempt", func(t *testing.T) {
		tr := newTrack(t, refused(0))
		tr.MaxAttempts = 3
		starts, dones := 0, 0
		err := tr.dial(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			DNSStart: func(httptrace.DNSStartInfo) { starts++ },
			DNSDone: func(info httptrace.DNSDoneInfo) {
				dones++
				assert.NoError(t, info.Err)
				assert.Equal(t, []net.IPAddr{{IP: net.IP{127, 0, 0, 1}}}, info.Addrs)
			},
		}))
		assert.ErrorIs(t, err, redial.ErrMaxAttempts)
		assert.Equal(t, 3, starts)
		assert.Equal(t, 3, dones)
	})
	testutil.Bubble(t, "a panic of a hook reaches the caller", func(t *testing.T) {
		for _, trace := range []*httptrace.ClientTrace{
			{DNSStart: func(httptrace.DNSStartInfo) { panic("boom") }},
			{DNSDone: func(httptrace.DNSDoneInfo) { panic("boom") }},
		} {
			tr := newTrack(t, connects(0))
			assert.PanicsWithValue(t, "boom", func() { tr.dial(httptrace.WithClientTrace(t.Context(), trace)) })
		}
	})
}

// The resolver's Dial gets the values of the dial's context, but not its hooks: a connection to a DNS
// server is not the caller's.
func TestLookupKeepsValues(t *testing.T) {
	type key struct{}
	var value atomic.Value // A and AAAA are asked for at the same time
	d := &redial.Dialer{MaxAttempts: 1}
	nobody := testutil.RefusingAddress(t, "tcp")
	d.Resolver = dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
		value.Store(ctx.Value(key{}))
		return new(net.Dialer).DialContext(ctx, "tcp", nobody)
	})
	hook := func(string, string) { t.Error("no address was dialed") }
	ctx := httptrace.WithClientTrace(context.WithValue(t.Context(), key{}, "value"), &httptrace.ClientTrace{ConnectStart: hook})
	_, err := d.DialContext(ctx, "tcp", "a.test.:80")
	assert.Equal(t, redial.DNS, redial.Classify(err))
	assert.Equal(t, "value", value.Load())
}

// A redial.Dialer that dials the DNS server is nested: it makes one attempt, and leaves the retries to the
// dial that looks up. That holds for a look-up that outlives its attempt too.
func TestLookupByRedialIsNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nested []redial.Attempt
		inner := &redial.Dialer{
			DialFunc: func(ctx context.Context, _, _ string) (net.Conn, error) {
				time.Sleep(1500 * ms)
				return nil, errorOf(dialtest.Refuse)
			},
			OnAttempt: func(_ context.Context, a redial.Attempt) { nested = append(nested, a) },
		}
		d := &redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{redial.DNS: every(time.Second)}}
		d.Timeout = time.Second
		d.Resolver = dnstest.ResolverBy(inner.DialContext)
		_, err := d.DialContext(t.Context(), "udp4", trackName+":80")
		assert.Equal(t, redial.DNS, redial.Classify(err))
		time.Sleep(time.Hour) // virtual
		synctest.Wait()
		require.NotEmpty(t, nested)
		for _, a := range nested {
			assert.True(t, a.Nested)
			assert.Equal(t, 1, a.Number)
			assert.Zero(t, a.Delay)
		}
	})
}

// A pod that restarts: its old address refuses, then its name is gone for two seconds, then it has another
// address. A name that has resolved exists, so the dial goes on, and asks no old address.
func TestLookupOfNameThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(time.Second, func() { tr.dns.Set("name.test", dnstest.NoSuchName) })
		time.AfterFunc(3*time.Second, func() { tr.tell([]int{1}, 0) })
		tr.Policy = redial.Policy{redial.Refused: every(400 * ms), redial.DNS: every(400 * ms)}
		start := time.Now()
		require.NoError(t, tr.dial(t.Context()))
		assert.Equal(t, 3200*ms, time.Since(start))
		for _, a := range tr.attempts[3:8] {
			assert.Equal(t, redial.DNS, a.Class)
			assert.Empty(t, a.Addrs)
			dns := new(net.DNSError)
			require.ErrorAs(t, a.Err, &dns)
			assert.False(t, dns.IsNotFound)
			assert.True(t, dns.IsTemporary)
			assert.Equal(t, trackName, dns.Name)
		}
		assert.Equal(t, netip.AddrPortFrom(addrOf(1), 80), tr.attempts[8].Addrs[0].Addr)
	})
}

// A name that has never resolved does not exist, and is not retried.
func TestLookupOfNameThatDoesNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t)
		tr.dns.Set("name.test", dnstest.NoSuchName)
		err := tr.dial(t.Context())
		assert.Equal(t, redial.NotFound, redial.Classify(err))
		assert.Len(t, tr.attempts, 1)
	})
}

// After a temporary failure of a later look-up, the dial uses the addresses of the earlier one.
func TestLookupFailureKeepsAddresses(t *testing.T) {
	for name, reply := range map[string]dnstest.Reply{"SERVFAIL": dnstest.ServFail, "REFUSED": dnstest.Refused} {
		testutil.Bubble(t, name, func(t *testing.T) {
			tr := newTrack(t, refused(0))
			tr.tell([]int{0}, 0)
			time.AfterFunc(500*ms, func() { tr.dns.Set("name.test", reply) })
			time.AfterFunc(2500*ms, func() { tr.set(0, connects(0)) })
			tr.Policy = redial.Policy{redial.Refused: every(time.Second)}
			start := time.Now()
			require.NoError(t, tr.dial(t.Context()))
			assert.Equal(t, 3*time.Second, time.Since(start))
			for _, a := range tr.attempts[:3] {
				assert.Equal(t, redial.Refused, a.Class)
			}
		})
	}
	testutil.Bubble(t, "silence", func(t *testing.T) {
		tr := newTrack(t, refused(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(500*ms, func() { tr.dns.Set("name.test", dnstest.Silence); tr.set(0, connects(0)) })
		tr.Policy = redial.Policy{redial.Refused: every(time.Second)}
		start := time.Now()
		require.NoError(t, tr.dial(t.Context()))
		assert.Equal(t, 2*time.Second, time.Since(start), "a second of silence")
	})
	testutil.Bubble(t, "but not if the name was gone in between", func(t *testing.T) {
		tr := newTrack(t, refused(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(500*ms, func() { tr.dns.Set("name.test", dnstest.NoSuchName) })
		time.AfterFunc(1500*ms, func() { tr.dns.Set("name.test", dnstest.ServFail) })
		tr.Policy = redial.Policy{redial.Refused: every(time.Second), redial.DNS: every(time.Second)}
		tr.MaxAttempts = 3
		require.Error(t, tr.dial(t.Context()))
		assert.Equal(t, redial.DNS, tr.attempts[2].Class)
		assert.Empty(t, tr.attempts[2].Addrs)
	})
}

// Each attempt looks the name up anew, so the dial follows a record that changes.
func TestLookupFollowsTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(500*ms, func() { tr.tell([]int{1}, 0) })
		tr.Policy = redial.Policy{redial.Refused: every(time.Second)}
		require.NoError(t, tr.dial(t.Context()))
		assert.Len(t, tr.attempts, 2)
	})
}

// A dial without a Resolver asks net.DefaultResolver, which a program may have set.
func TestLookupByDefaultResolver(t *testing.T) {
	original := net.DefaultResolver
	defer func() { net.DefaultResolver = original }()
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(0))
		net.DefaultResolver, tr.Resolver = tr.Resolver, nil
		assert.NoError(t, tr.dial(t.Context()))
	})
}

// A name is looked up once in an attempt, for the family that the network asks for. The IPv6 addresses
// of /etc/hosts and of a cgo resolver may have zones.
func TestLookupAsksOnce(t *testing.T) {
	for _, test := range []struct {
		network, addr string
		asked         int // A, AAAA or both
	}{
		{"tcp4", "169.254.1.1", 1},
		{"tcp4", "192.0.2.1", 1},
		{"tcp6", "2001:db8::1", 1},
		{"tcp", "192.0.2.1", 2},
		{"udp4", "192.0.2.1", 1},
		{"udp6", "2001:db8::1", 1},
		{"udp", "2001:db8::1", 2},
	} {
		testutil.Bubble(t, test.network+" "+test.addr, func(t *testing.T) {
			tr := newTrack(t)
			tr.MaxAttempts = 1
			tr.fates[netip.MustParseAddr(test.addr)] = refused(0)
			tr.dns.Set("name.test", dnstest.Addrs(test.addr))
			_, err := tr.DialContext(t.Context(), test.network, trackName+":80")
			assert.ErrorIs(t, err, sysRefused)
			require.Len(t, tr.attempts[0].Addrs, 1)
			assert.Equal(t, test.addr, tr.attempts[0].Addrs[0].Addr.Addr().String())
			assert.Equal(t, test.asked, tr.dns.Asked("name.test"))
		})
	}
}

// Names are looked up by the dial, and their addresses raced. All else is package net's.
func TestNamesAreRaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for address, want := range map[string]bool{
			"a.test.:80":        true,
			"a.test.:domain":    true,
			"a0.:80":            true,
			"10.0.0.1a.:80":     true,
			":80":               false,
			"a.test":            false,
			"":                  false,
			"127.0.0.1:80":      false,
			"[::1]:80":          false,
			"[2001:db8::a]:80":  false,
			"[fe80::1%eth]:80":  false,
			"2001:db8::a:80":    false,
			"[fe80::1%eth0]:80": false,
		} {
			for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip4:icmp", "unix", "bad"} {
				if strings.HasPrefix(network, "tcp") {
					address = strings.Replace(address, "domain", "https", 1)
				} else { // package net knows these two on systems without a list of services
					address = strings.Replace(address, "https", "domain", 1)
				}
				isRaced := want && (strings.HasPrefix(network, "tcp") || strings.HasPrefix(network, "udp"))
				for _, delay := range []time.Duration{0, -1} {
					tr := newTrack(t)
					tr.dns.Set("*", dnstest.Addrs("127.0.0.1", "127.0.0.2", "2001:db8::1", "2001:db8::2"))
					tr.MaxAttempts, tr.FallbackDelay = 1, delay
					tr.ControlContext = func(context.Context, string, string, syscall.RawConn) error { return errCustom } // nothing is sent
					_, err := tr.DialContext(t.Context(), network, address)
					require.Error(t, err, "%s %s", network, address)
					assert.Equal(t, isRaced, len(tr.attempts[0].Addrs) > 1, "%s %s", network, address)
				}
			}
		}
	})
}

// Port 0, or none, can never be dialed by TCP, on any system: the dial fails at once. An empty host, UDP, and
// a DialFunc are not the dial's to judge.
func TestPortZero(t *testing.T) {
	testutil.NeedSockets(t)
	for _, test := range []struct {
		network, address string
		invalid          bool
	}{
		{"tcp", "127.0.0.1:0", true},
		{"tcp4", "127.0.0.1:", true},
		{"tcp6", "[::1]:0", true},
		{"tcp", "[::1]:00", true},
		{"tcp", ":0", true},
		{"tcp", "localhost:0", true},
		{"tcp", "localhost:", true},
		{"tcp4", "localhost:00", true},
		{"udp", "127.0.0.1:0", false},
		{"udp", "localhost:0", false},
	} {
		attempts := 0
		d := &redial.Dialer{MaxAttempts: 2, OnAttempt: func(context.Context, redial.Attempt) { attempts++ }}
		dialed := false
		d.Control = func(string, string, syscall.RawConn) error {
			dialed = true
			return os.NewSyscallError("connect", sysRefused)
		}
		_, err := d.DialContext(t.Context(), test.network, test.address)
		require.Error(t, err)
		assert.Equal(t, test.invalid, redial.Classify(err) == redial.Invalid, "%s %s: %v", test.network, test.address, err)
		assert.Equal(t, !test.invalid, dialed)
		if test.invalid {
			assert.Equal(t, 1, attempts)
			if text := "port 0 cannot be dialed"; strings.HasSuffix(test.address, ":") {
				assert.ErrorContains(t, err, test.address+": missing port in address")
			} else {
				assert.ErrorContains(t, err, test.address+": "+text)
			}
		}
	}
	own := func(context.Context, string, string) (net.Conn, error) { return nil, errCustom }
	_, err := (&redial.Dialer{DialFunc: own}).Dial("tcp", "127.0.0.1:0")
	assert.ErrorIs(t, err, errCustom)
	_, err = (&redial.Dialer{DialFunc: own}).DialTCP(t.Context(), "tcp", netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:0"))
	assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
	_, err = new(redial.Dialer).DialTCP(t.Context(), "tcp", netip.AddrPort{}, netip.AddrPort{})
	assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
	_, err = new(redial.Dialer).Dial("tcp4", "[::1]:0")
	assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
	assert.ErrorContains(t, err, "no suitable address", "more than the port is wrong")
	_, err = (&redial.Dialer{MaxAttempts: 1}).Dial("tcp", "127.0.0.1:0")
	_, want := new(net.Dialer).Dial("tcp", "127.0.0.1:0")
	assert.Equal(t, want, err, "the inner dialer's own")
	assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
	_, err = redial.Do(t.Context(), nil, "tcp", "127.0.0.1:0", func(context.Context) (int, error) { return 0, errCustom })
	assert.ErrorIs(t, err, errCustom)
}

// The record of an attempt says how long the look-up took, also if it failed, and what became of the only address.
func TestLookupIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(300*ms))
		tr.MaxAttempts = 1
		tr.dns.Set("name.test", dnstest.ServFail.After(100*ms), dnstest.ServFail.After(100*ms), dnstest.Addrs("127.0.0.1").After(200*ms))
		require.Error(t, tr.dial(t.Context()))
		failed := tr.attempts[0]
		assert.Equal(t, redial.DNS, failed.Class)
		assert.Equal(t, failed.Duration, failed.Resolve)
		assert.Positive(t, failed.Resolve)
		assert.Nil(t, failed.Addrs)
	})
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(300*ms))
		tr.tell([]int{0}, 200*ms)
		require.NoError(t, tr.dial(t.Context()))
		a := tr.attempts[0]
		assert.Equal(t, 200*ms, a.Resolve)
		assert.Equal(t, 500*ms, a.Duration)
		assert.Equal(t, []redial.AddrResult{{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Start: a.Start.Add(200 * ms), Duration: 300 * ms, Connected: true}}, a.Addrs)
	})
}

// Where one attempt is made, no other one waits longer for the family that has not answered. So this one
// does, once the addresses of the other family have failed.
func TestLookupOfTheOnlyAttempt(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		name    string
		answers time.Duration // A's; negative: never
		ends    time.Duration
		addrs   []string
	}{
		{"A late", 1700 * ms, 2700 * ms, []string{"[2001:db8::1]:80", "127.0.0.1:80"}},
		{"A never", -1, 10 * time.Second, []string{"[2001:db8::1]:80", "[2001:db8::1]:80", "[2001:db8::1]:80"}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, connects(0))
			tr.fates[six] = unreachable
			tr.MaxAttempts = 1
			tr.dns.Decide(func(q dnstest.Query) dnstest.Reply {
				switch {
				case q.Kind == "AAAA":
					return dnstest.Addrs(six.String())
				case test.answers < 0:
					return dnstest.Silence
				}
				return dnstest.Addrs("127.0.0.1").After(test.answers)
			})
			start := time.Now()
			conn, err := tr.DialContext(t.Context(), "udp", trackName+":80")
			assert.Equal(t, test.ends, time.Since(start))
			if test.answers < 0 {
				assert.Equal(t, redial.Unreachable, redial.Classify(err), "%v", err)
			} else {
				require.NoError(t, err)
				conn.Close()
			}
			require.Len(t, tr.attempts, 1)
			if err == nil {
				assert.Equal(t, test.ends, tr.attempts[0].Resolve, "of all look-ups")
			}
			var addrs []string
			for _, a := range tr.attempts[0].Addrs {
				addrs = append(addrs, a.Addr.String())
			}
			assert.Equal(t, test.addrs, addrs)
		})
	}
}

// The only attempt returns the error of the most telling class, whichever family came first.
func TestOnlyAttemptNamesTheMostTellingFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		six := netip.MustParseAddr("2001:db8::1")
		tr := newTrack(t, unreachable)
		tr.fates[six] = refused(0)
		tr.MaxAttempts = 1
		asked := 0
		tr.dns.Decide(func(q dnstest.Query) dnstest.Reply {
			switch {
			case q.Kind == "AAAA" && asked > 0:
				return dnstest.NoSuchName
			case q.Kind == "AAAA":
				asked++
				return dnstest.Addrs(six.String())
			}
			return dnstest.Addrs(addrOf(0).String()).After(1700 * ms)
		})
		_, err := tr.DialContext(t.Context(), "udp", trackName+":80")
		assert.Equal(t, redial.Refused, redial.Classify(err), "%v", err)
	})
}

// Earlier addresses can be gone. An attempt by them leaves time for one by what the look-up then finds.
func TestStaleAddressesDoNotHoldUpTheNewOne(t *testing.T) {
	for name, first := range map[string]dnstest.Reply{"SERVFAIL": dnstest.ServFail, "a slow answer": dnstest.Addrs(addrOf(1).String()).After(1500 * ms)} {
		testutil.Bubble(t, name, func(t *testing.T) {
			tr := newTrack(t, refused(0), connects(0))
			tr.tell([]int{0}, 0)
			time.AfterFunc(50*ms, func() {
				tr.set(0, silent)
				tr.dns.Set("name.test", first, dnstest.Addrs(addrOf(1).String()))
			})
			tr.Policy = redial.Policy{redial.Refused: every(100 * ms), redial.Timeout: every(100 * ms), redial.DNS: every(100 * ms)}
			start := time.Now()
			require.NoError(t, tr.dial(t.Context()))
			assert.LessOrEqual(t, time.Since(start), 3300*ms, "a second for the look-up, two for the stale address")
		})
	}
}

// An attempt by addresses that were just found has its whole time, whatever the attempt before used.
func TestFreshAddressesHaveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(3*time.Second))
		fresh := dnstest.Addrs(addrOf(1).String())
		tr.tell([]int{0}, 0)
		time.AfterFunc(50*ms, func() { tr.dns.Set("name.test", dnstest.ServFail) })
		time.AfterFunc(150*ms, func() { tr.dns.Set("name.test", fresh) })
		tr.Policy = redial.Policy{redial.Refused: every(100 * ms)}
		require.NoError(t, tr.dial(t.Context()))
		assert.Len(t, tr.attempts, 3)
	})
}

// So has the last attempt, also by earlier addresses: no other one is to come.
func TestLastAttemptByStaleAddressesHasTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0))
		tr.tell([]int{0}, 0)
		time.AfterFunc(50*ms, func() {
			tr.dns.Set("name.test", dnstest.ServFail)
			tr.set(0, connects(3*time.Second))
		})
		tr.Policy, tr.MaxAttempts = redial.Policy{redial.Refused: every(100 * ms)}, 2
		require.NoError(t, tr.dial(t.Context()))
	})
}

// A look-up leaves half of a short attempt's time to connect, if one family is silent.
func TestLookupLeavesTimeToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(100*ms))
		tr.dns.Decide(func(q dnstest.Query) dnstest.Reply {
			if q.Kind == "AAAA" {
				return dnstest.Silence
			}
			return dnstest.Addrs(addrOf(0).String())
		})
		tr.Timeout, tr.MaxAttempts = time.Second, 1
		start := time.Now()
		conn, err := tr.DialContext(t.Context(), "udp", trackName+":80")
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, 600*ms, time.Since(start))
	})
}

// A "no such host" from a look-up in which a query failed is doubtful. The dial asks again, twice at most.
func TestLookupDoubtsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t)
		tr.dns.Decide(func(q dnstest.Query) dnstest.Reply {
			if q.Kind == "AAAA" {
				return dnstest.NoSuchName
			}
			return dnstest.ServFail.After(10 * ms)
		})
		tr.Policy, tr.MaxAttempts = redial.Policy{redial.DNS: every(100 * ms)}, 5
		_, err := tr.DialContext(t.Context(), "udp", trackName+":80")
		require.Error(t, err)
		var classes []redial.Class
		for _, a := range tr.attempts {
			classes = append(classes, a.Class)
		}
		assert.Equal(t, []redial.Class{redial.DNS, redial.DNS, redial.NotFound}, classes)
	})
}

// A look-up that has failed is not used again, whatever class a Classifier gives its failure.
func TestFailedLookupIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(0))
		tr.dns.Set("name.test", dnstest.ServFail, dnstest.ServFail, dnstest.Addrs(addrOf(0).String()))
		tr.Classifier = func(err error) redial.Class {
			if _, ok := errors.AsType[*net.DNSError](err); ok {
				return redial.Timeout
			}
			return redial.Unknown
		}
		tr.Policy, tr.MaxAttempts = redial.Policy{redial.Timeout: every(50 * ms)}, 3
		assert.NoError(t, tr.dial(t.Context()))
	})
}
