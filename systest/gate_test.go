package systest_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// With many goroutines and real sockets, every dial through a Gate returns.
func TestGateOnRealSockets(t *testing.T) {
	t.Parallel()
	const dials = 1000
	open := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {}).Addr().String()
	closed := testutil.RefusingAddress(t, "tcp")
	gate := new(redial.Gate)
	d := &redial.Dialer{Gate: gate, Logger: zap.NewNop()}
	errs := testutil.Crowd(dials, func(int) error {
		conn, err := d.Dial("tcp", open)
		if err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		return err
	})
	assert.Equal(t, make([]error, dials), errs)

	var connects atomic.Int64
	refused := 2 * testutil.Refusal // every dial lives until its first attempt is refused
	ctx, cancel := context.WithTimeout(t.Context(), refused+time.Second)
	defer cancel()
	d.OnAttempt = func(_ context.Context, a redial.Attempt) {
		if !a.Shared {
			connects.Add(1)
		}
	}
	errs = testutil.Crowd(dials, func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, refused+time.Duration(i)*time.Millisecond)
		defer cancel()
		_, err := d.DialContext(ctx, "tcp", closed)
		return err
	})
	for _, err := range errs {
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	}
	assert.Less(t, connects.Load(), int64(100))
}
