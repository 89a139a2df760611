package systest_test

// These helpers are for the tests of every file: dials that record their attempts, and a policy
// without delays.

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// dialOnce makes a dial of one attempt, which must fail. It returns the attempt's record and the
// dial's error, and checks that the two errors are equal.
func dialOnce(t *testing.T, d redial.Dialer, network, address string) (redial.Attempt, error) {
	t.Helper()
	d.MaxAttempts = 1
	attempts, err := dialRecorded(t, &d, network, address)
	require.Error(t, err)
	require.Len(t, attempts, 1)
	assert.Equal(t, err, attempts[0].Err, "the error of the only attempt is returned unchanged")
	assert.Error(t, attempts[0].Stop)
	return attempts[0], err
}

// dialRecorded dials, and returns the records of all attempts. It also calls d.OnAttempt. It closes
// the connection, and gives up after a time that no test should need.
func dialRecorded(t *testing.T, d *redial.Dialer, network, address string) ([]redial.Attempt, error) {
	t.Helper()
	return dialRecordedIn(t.Context(), t, d, network, address)
}

// dialRecordedIn is dialRecorded with a context for the dial.
func dialRecordedIn(ctx context.Context, t *testing.T, d *redial.Dialer, network, address string) ([]redial.Attempt, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var attempts []redial.Attempt
	recorded := *d
	recorded.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		attempts = append(attempts, a)
		if d.OnAttempt != nil {
			d.OnAttempt(ctx, a)
		}
	}
	conn, err := recorded.DialContext(ctx, network, address)
	if err != nil {
		assert.Nil(t, conn)
		return attempts, err
	}
	require.NotNil(t, conn)
	assert.NoError(t, conn.Close())
	return attempts, nil
}

// atOnce returns a policy that retries the same classes as the default policy, without delays.
func atOnce() redial.Policy {
	p := redial.DefaultPolicy()
	for class := range p {
		p[class] = func() backoff.BackOff { return &backoff.ZeroBackOff{} }
	}
	return p
}

// listenLoopback listens on a port of 127.0.0.1. The kernel completes connections, so nobody needs
// to accept them.
func listenLoopback(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}
