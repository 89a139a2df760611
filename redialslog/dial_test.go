package redialslog_test

import (
	"context"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

const address = "a.test:80"

func everySecond() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }

// Dials are logged to zap's observer and to a slog.Handler.
func TestDialsSameAsZap(t *testing.T) {
	for _, test := range []struct {
		name     string
		outcomes []dialtest.Outcome
		dial     func(ctx context.Context, d *redial.Dialer)
		messages []string // some of those that must be logged
	}{
		{"first try", []dialtest.Outcome{dialtest.OK}, dialOnce, []string{"dial succeeded"}},
		{"retries", []dialtest.Outcome{dialtest.Refuse, dialtest.Timeout, dialtest.OK}, dialOnce,
			[]string{"dial attempt failed, will retry", "dial recovered"}},
		{"final failure", []dialtest.Outcome{dialtest.Reset, dialtest.NXDomain}, dialOnce,
			[]string{"dial attempt failed, will retry", "dial failed"}},
		{"one attempt", []dialtest.Outcome{dialtest.Refuse}, func(ctx context.Context, d *redial.Dialer) {
			d.MaxAttempts = 1
			dialOnce(ctx, d)
		}, []string{"dial failed"}},
		{"a wait ends", []dialtest.Outcome{dialtest.Refuse.Forever()}, func(ctx context.Context, d *redial.Dialer) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(1500*time.Millisecond, cancel)
			dialOnce(ctx, d)
		}, []string{"dial attempt failed, will retry", "dial canceled"}},
		{"Do with a nested dial", []dialtest.Outcome{dialtest.Refuse, dialtest.OK}, func(ctx context.Context, d *redial.Dialer) {
			conn, err := redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", address)
			})
			if err == nil {
				conn.Close()
			}
		}, []string{"dial failed", "dial attempt failed, will retry", "dial succeeded", "dial recovered"}},
		{"a Gate", []dialtest.Outcome{dialtest.Refuse.Forever()}, func(ctx context.Context, d *redial.Dialer) {
			d.Gate, d.MaxElapsed = &redial.Gate{Burst: 1}, 5*time.Second
			testutil.Crowd(3, func(int) error {
				dialOnce(ctx, d)
				return nil
			})
		}, []string{"dial attempt failed, will retry", "dial failed"}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			logger, logs, h := both()
			script := dialtest.Script(test.outcomes...)
			d := &redial.Dialer{DialFunc: script.DialContext, Logger: logger, Policy: redial.Policy{
				redial.Refused: everySecond, redial.Timeout: everySecond, redial.Reset: everySecond}}
			test.dial(t.Context(), d)
			synctest.Wait()
			byZap, bySlog := takeBoth(logs, h)
			assert.ElementsMatch(t, byZap, bySlog) // the order may differ if goroutines log
			for _, message := range test.messages {
				assert.True(t, slices.ContainsFunc(bySlog, func(l line) bool { return l.msg == message }), message)
			}
			assert.Equal(t, test.name == "a Gate", slices.ContainsFunc(bySlog, func(l line) bool { return l.fields["shared"] == true }))
		})
	}
}

func dialOnce(ctx context.Context, d *redial.Dialer) {
	if conn, err := d.DialContext(ctx, "tcp", address); err == nil {
		conn.Close()
	}
}

// The addresses of a name are an array of objects.
func TestAddressesSameAsZap(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	logger, logs, h := both()
	d := &redial.Dialer{Logger: logger, MaxAttempts: 2, Policy: redial.Policy{redial.Unknown: redial.Exponential(time.Millisecond, time.Millisecond)}}
	d.Resolver = server.Resolver()
	d.Control = func(string, string, syscall.RawConn) error { return errGone }
	_, err := d.Dial("tcp", "two.test.:80")
	assert.ErrorIs(t, err, errGone)
	byZap, bySlog := takeBoth(logs, h)
	assert.Equal(t, byZap, bySlog)
	assert.Len(t, bySlog, 2)
	for _, l := range bySlog {
		addrs, _ := l.fields["addrs"].([]any)
		assert.Len(t, addrs, 2, l)
	}
}
