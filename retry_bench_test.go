package redial

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// BenchmarkFailedAttempt measures a failed attempt that will be retried, without the
// wait after it: with a logger that discards all records, and with one that writes them as JSON.
// "logger alone" writes a record with as many fields. The benchmark is inside the package,
// because the exported methods wait for at least 1 ms between two attempts.
func BenchmarkFailedAttempt(b *testing.B) {
	refused := &net.OpError{
		Op:   "dial",
		Net:  "tcp",
		Addr: &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 80},
		Err:  os.NewSyscallError("connect", errnoRefused),
	}
	connect := func(context.Context, *Dialer, way, plan) (net.Conn, *lookup, error) { return nil, nil, refused }
	json := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.WarnLevel))
	for name, logger := range map[string]*zap.Logger{"no record": zap.NewNop(), "JSON": json} {
		b.Run(name, func(b *testing.B) {
			d := &Dialer{Logger: logger, MaxElapsed: time.Hour}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			l := loop{dialer: d, caller: caller{ctx: ctx, attemptCtx: ctx}}
			l.way = way{network: "tcp", address: "192.0.2.1:80", literal: true, connect: connect}
			l.start = time.Now()
			l.bound()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.try(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("logger alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			json.Warn(msgRetrying,
				zap.String("network", "tcp"),
				zap.String("address", "192.0.2.1:80"),
				zap.Int("attempt", 2),
				zap.Duration("duration", time.Millisecond),
				zap.Duration("elapsed", time.Second),
				zap.String("class", "refused"),
				zap.String("error", refused.Error()),
				zap.String("errno", errnoRefused.Error()),
				zap.Duration("delay", time.Second))
		}
	})
}
