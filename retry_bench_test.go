package redial

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"
)

// BenchmarkFailedAttempt measures a failed attempt that will be retried, without the
// wait after it. The benchmark is inside the package, because the exported methods wait
// for at least 1 ms between two attempts.
func BenchmarkFailedAttempt(b *testing.B) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errnoRefused)}
	connect := func(context.Context, *Dialer, way, plan) (net.Conn, *lookup, error) { return nil, nil, refused }
	d := &Dialer{Logger: zap.NewNop(), MaxElapsed: time.Hour}
	ctx := context.Background()
	l := loop{dialer: d, caller: caller{ctx: ctx, attemptCtx: ctx}, way: way{network: "tcp", address: "192.0.2.1:80", connect: connect}}
	l.start = time.Now()
	l.bound()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.try(); err != nil {
			b.Fatal(err)
		}
	}
}
