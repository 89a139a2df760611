package redial_test

// Helpers for all tests of the package: errors, schedules, and access to what a script
// or a logger recorded.

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

const (
	address = "a.test:80"
	ms      = time.Millisecond
)

// errCustom is an inner dialer's own error. Its class is Unknown.
var errCustom = errors.New("a dialer's own")

var errCause = errors.New("the request is gone")

// errorOf returns the error of a dial with the given outcome.
func errorOf(outcome dialtest.Outcome) error {
	_, err := dialtest.Script(outcome).DialContext(context.Background(), "tcp", address)
	return err
}

// errScriptRefuses is what this system's connect returns if nothing listens. An error of
// dialtest.Refuse matches it.
var errScriptRefuses = innermost(errorOf(dialtest.Refuse))

func innermost(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// many returns n, or a tenth of it with -short: the race detector and emulators take minutes for the rest.
func many(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// lastOf checks that the script has made that number of dials, and returns the record
// of the last one.
func lastOf(t *testing.T, script *dialtest.Dialer, dials int) dialtest.Dial {
	t.Helper()
	all := script.Dials()
	require.Len(t, all, dials)
	return all[dials-1]
}

// asError checks that err is a *net.OpError that holds a *redial.Error, and returns the
// *redial.Error.
func asError(t *testing.T, err error) *redial.Error {
	t.Helper()
	require.Error(t, err)
	require.IsType(t, &net.OpError{}, err)
	var e *redial.Error
	require.ErrorAs(t, err, &e)
	assert.Same(t, e, err.(*net.OpError).Err)
	return e
}

// after returns a function that makes schedules with the given delays.
func after(all ...time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff {
		d := delays(all)
		return &d
	}
}

// delays is a schedule that returns its delays in turn, and then backoff.Stop.
type delays []time.Duration

func (d *delays) Reset() {}

func (d *delays) NextBackOff() time.Duration {
	if len(*d) == 0 {
		return backoff.Stop
	}
	next := (*d)[0]
	*d = (*d)[1:]
	return next
}

// every returns a function that makes schedules in which every delay is d.
func every(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

// canceled returns a context that has been canceled.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func TestMain(m *testing.M) { testutil.Main(m) }
