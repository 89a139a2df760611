package redial_test

// What the tests of every file use: errors, schedules, and what a script or a logger saw.

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
)

const address = "a.test:80"

// errCustom is an inner dialer's own failure, of class unknown.
var errCustom = errors.New("a dialer's own")

var errCause = errors.New("the request is gone")

// errorOf is the error of a dial that ends in outcome.
func errorOf(outcome dialtest.Outcome) error {
	_, err := dialtest.Script(outcome).DialContext(context.Background(), "tcp", address)
	return err
}

// lastOf is the record of a script's last dial, which must be the dial of that
// number.
func lastOf(t *testing.T, script *dialtest.Dialer, dials int) dialtest.Dial {
	t.Helper()
	all := script.Dials()
	require.Len(t, all, dials)
	return all[dials-1]
}

// asError is the *redial.Error that err must hold, in the *net.OpError that it
// must be.
func asError(t *testing.T, err error) *redial.Error {
	t.Helper()
	require.Error(t, err)
	require.IsType(t, &net.OpError{}, err)
	var e *redial.Error
	require.ErrorAs(t, err, &e)
	assert.Same(t, e, err.(*net.OpError).Err)
	return e
}

// after makes a new schedule of the delays given for each dial.
func after(all ...time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff {
		d := delays(all)
		return &d
	}
}

// delays is a schedule of the delays given, and then of backoff.Stop.
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

// every makes a schedule of one delay for ever.
func every(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

// canceled is a context that is over.
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
