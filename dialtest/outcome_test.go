package dialtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// outcomes has every predeclared outcome that fails, with its class and its system call. An outcome
// without a call fails in the resolver.
var outcomes = []struct {
	outcome dialtest.Outcome
	name    string
	class   redial.Class
	call    string
}{
	{dialtest.Refuse, "Refuse", redial.Refused, "connect"},
	{dialtest.NoSocket, "NoSocket", redial.Refused, "connect"},
	{dialtest.Reset, "Reset", redial.Reset, "connect"},
	{dialtest.Timeout, "Timeout", redial.Timeout, "connect"},
	{dialtest.NoRoute, "NoRoute", redial.Unreachable, "connect"},
	{dialtest.NoNetwork, "NoNetwork", redial.Unreachable, "connect"},
	{dialtest.Deny, "Deny", redial.Denied, "connect"},
	{dialtest.NoDescriptors, "NoDescriptors", redial.Exhausted, "socket"},
	{dialtest.NoPorts, "NoPorts", redial.Exhausted, "connect"},
	{dialtest.NoFamily, "NoFamily", redial.Invalid, "socket"},
	{dialtest.NXDomain, "NXDomain", redial.NotFound, ""},
	{dialtest.ServFail, "ServFail", redial.DNS, ""},
}

// dial makes one dial that ends in o, without a deadline, and returns its error.
func dial(o dialtest.Outcome, network, address string) error {
	_, err := dialtest.Script(o).DialContext(context.Background(), network, address)
	return err
}

func TestClassOfOutcome(t *testing.T) {
	for _, test := range outcomes {
		for _, o := range []dialtest.Outcome{test.outcome, test.outcome.Winsock()} {
			o := o.After(0) // without it, Timeout would take 127 s
			for network, address := range map[string]string{
				"tcp": "db.test:5432", "tcp6": "[2001:db8::7]:5432", "udp4": "192.0.2.7:53", "unix": "/run/db.sock",
			} {
				if network == "unix" && test.call == "" {
					continue // a path is not resolved
				}
				err := dial(o, network, address)
				assert.Equal(t, test.class, redial.Classify(err), "%v: %s: %v", o, network, err)
				assert.ErrorContains(t, err, "dial "+network)
			}
		}
	}
}

func TestAddressOfFailure(t *testing.T) {
	for _, test := range []struct {
		network, address string
		want             net.Addr
	}{
		{"tcp", "127.0.0.1:5432", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5432}},
		{"tcp", "[fe80::1%lo]:5432", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 5432}},
		{"tcp", ":5432", &net.TCPAddr{Port: 5432}},
		{"tcp", "db:5432", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}},
		{"tcp6", "db:5432", &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5432}},
		{"udp", "db:53", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}},
		{"unix", "/run/db.sock", &net.UnixAddr{Net: "unix", Name: "/run/db.sock"}},
	} {
		var op *net.OpError
		require.ErrorAs(t, dial(dialtest.Refuse, test.network, test.address), &op)
		assert.Equal(t, "dial", op.Op)
		assert.Equal(t, test.network, op.Net)
		assert.Equal(t, test.want, op.Addr)
		assert.Nil(t, op.Source)

		require.ErrorAs(t, dial(dialtest.NXDomain, test.network, test.address), &op)
		assert.Nil(t, op.Addr, "without the resolver's answer there is no address")
	}
}

func TestFail(t *testing.T) {
	proxyDown := errors.New("socks: no route")
	assert.Same(t, proxyDown, dial(dialtest.Fail(proxyDown), "tcp", "db:5432"))
	assert.Same(t, proxyDown, dial(dialtest.Fail(proxyDown).Winsock(), "tcp", "db:5432"))

	conn, err := dialtest.Script(dialtest.Fail(nil)).DialContext(t.Context(), "tcp", "db:5432")
	assert.Nil(t, conn)
	assert.NoError(t, err)
}

func TestOutcomeString(t *testing.T) {
	for _, test := range outcomes {
		assert.Equal(t, test.name, test.outcome.String())
	}
	assert.Equal(t, "OK", dialtest.Outcome{}.String())
	assert.Equal(t, "[OK HangUp Fail(no) Refuse.After(2s).Winsock().Times(3) NXDomain.Times(0) OK.Forever()]", fmt.Sprint([]dialtest.Outcome{
		dialtest.OK, dialtest.HangUp, dialtest.Fail(errors.New("no")), dialtest.Refuse.Winsock().Times(3).After(2 * time.Second),
		dialtest.NXDomain.Times(-1), dialtest.OK.Forever(),
	}))
}

// A dial ends in its outcome when the delay is over. If the context ends at that moment or before,
// the dial fails with the context's error instead.
func TestAfter(t *testing.T) {
	const never = time.Hour
	for _, test := range []struct {
		outcome    dialtest.Outcome
		deadline   time.Duration // 0 means none
		cancel     time.Duration // 0 means never
		lasts      time.Duration
		ctxErr     error // nil if the dial ends in the outcome
		ofResolver bool
	}{
		{outcome: dialtest.Refuse.After(time.Second), lasts: time.Second},
		{outcome: dialtest.Refuse.After(-1)},
		{outcome: dialtest.Refuse.After(time.Second), deadline: time.Second + 1, cancel: never, lasts: time.Second},
		{outcome: dialtest.Refuse.After(time.Second), deadline: time.Second, lasts: time.Second, ctxErr: context.DeadlineExceeded},
		{outcome: dialtest.OK.After(time.Second), deadline: time.Second - 1, lasts: time.Second - 1, ctxErr: context.DeadlineExceeded},
		{outcome: dialtest.Refuse.After(never), cancel: time.Minute, lasts: time.Minute, ctxErr: context.Canceled},
		{outcome: dialtest.OK.After(never), deadline: never, cancel: time.Minute, lasts: time.Minute, ctxErr: context.Canceled},
		{outcome: dialtest.NXDomain.After(time.Second), lasts: time.Second},
		{outcome: dialtest.ServFail.After(time.Minute), deadline: time.Second, lasts: time.Second, ctxErr: context.DeadlineExceeded, ofResolver: true},
		{outcome: dialtest.NXDomain.After(time.Minute), cancel: time.Second, lasts: time.Second, ctxErr: context.Canceled, ofResolver: true},
		{outcome: dialtest.Timeout, lasts: 127 * time.Second},
		{outcome: dialtest.Timeout.After(2 * time.Second), lasts: 2 * time.Second},
		{outcome: dialtest.Timeout.After(0)},
		{outcome: dialtest.Timeout, deadline: time.Minute, lasts: time.Minute, ctxErr: context.DeadlineExceeded},
		{outcome: dialtest.Timeout, cancel: time.Minute, lasts: time.Minute, ctxErr: context.Canceled},
	} {
		t.Run(fmt.Sprint(test.outcome, test.deadline, test.cancel), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					defer time.AfterFunc(test.cancel, cancel).Stop()
				}
				if test.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				start := time.Now()
				conn, err := dialtest.Script(test.outcome).DialContext(ctx, "tcp", "db.test:5432")

				assert.Equal(t, test.lasts, time.Since(start))
				assert.Nil(t, conn)
				if test.ctxErr == nil {
					assert.Equal(t, dial(test.outcome.After(0), "tcp", "db.test:5432"), err)
					assert.NoError(t, ctx.Err())
					return
				}
				assert.ErrorIs(t, err, test.ctxErr)
				assert.ErrorIs(t, ctx.Err(), test.ctxErr, "the caller's context is over too")
				var netErr net.Error
				require.ErrorAs(t, err, &netErr)
				assert.Equal(t, test.ctxErr == context.DeadlineExceeded, netErr.Timeout())
				_, isDNS := errors.AsType[*net.DNSError](err)
				assert.Equal(t, test.ofResolver, isDNS)
			})
		})
	}
}

// A custom context may have its own error. Package net passes the error on.
func TestContextOfAnotherKind(t *testing.T) {
	own := errors.New("shutting down")
	_, err := dialtest.Script(dialtest.OK).DialContext(endedContext{t.Context(), own}, "tcp", "127.0.0.1:5432")
	_, want := new(net.Dialer).DialContext(endedContext{t.Context(), own}, "tcp", "127.0.0.1:5432")
	assert.Equal(t, want, err)
	assert.ErrorIs(t, err, own)
}

type endedContext struct {
	context.Context
	err error
}

func (c endedContext) Err() error { return c.err }
func (c endedContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
