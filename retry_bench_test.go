package redial

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A failed attempt that will be retried, without the wait. It is internal, for
// from outside there is no attempt without a wait of 1 ms at least.
func BenchmarkFailedAttempt(b *testing.B) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errnoRefused)}
	connect := func(context.Context) (net.Conn, *lookup, error) { return nil, nil, refused }
	d := &Dialer{Logger: zap.NewNop(), MaxElapsed: time.Hour}
	l := loop{Dialer: d, ctx: context.Background(), attemptCtx: context.Background(), network: "tcp", address: "127.0.0.1:1"}
	l.bound(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := l.try(connect); err != nil {
			b.Fatal(err)
		}
	}
}
