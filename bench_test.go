package redial_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// discard listens on a loopback port and returns its address. It closes each
// connection that it accepts.
func discard(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// dialAndDrop connects and resets the connection. A closed connection would keep its
// port in TIME_WAIT, and the ports would run out.
func dialAndDrop(ctx context.Context, b *testing.B, dial dialFunc, address string) {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// BenchmarkDial compares a successful dial, to an IP address and to a name, and with a
// logger that logs nothing, with net.Dialer: with the same Timeout, and with none. The context can be
// canceled, as it can in programs. "overhead" alternates between them, so that the
// machine's noise is the same for all. It reports the differences of the medians.
func BenchmarkDial(b *testing.B) {
	address := discard(b)
	b.Run("address", func(b *testing.B) { benchmarkDial(b, address) })
	_, port, err := net.SplitHostPort(address)
	require.NoError(b, err)
	b.Run("name", func(b *testing.B) { benchmarkDial(b, "localhost:"+port) })
}

func benchmarkDial(b *testing.B, address string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	plain := net.Dialer{Timeout: 10 * time.Second}
	dials := []struct {
		name string
		dial dialFunc
	}{
		{"redial", (&redial.Dialer{Dialer: plain, Logger: zap.NewNop()}).DialContext},
		{"net", plain.DialContext},
		{"net-no-timeout", new(net.Dialer).DialContext},
	}
	for _, d := range dials {
		b.Run(d.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dialAndDrop(ctx, b, d.dial, address)
			}
		})
	}
	b.Run("overhead", func(b *testing.B) {
		took := make([][]time.Duration, len(dials))
		for i := 0; b.Loop(); i++ {
			for j := range dials {
				which := (i + j) % len(dials) // each is first in its turn
				start := time.Now()
				dialAndDrop(ctx, b, dials[which].dial, address)
				took[which] = append(took[which], time.Since(start))
			}
		}
		for i := range took {
			slices.Sort(took[i])
		}
		ours := took[0][len(took[0])/2]
		for i, theirs := range took[1:] {
			theirs := theirs[len(theirs)/2]
			b.ReportMetric(100*float64(ours-theirs)/float64(theirs), "%-more-than-"+dials[i+1].name)
		}
	})
}

// newPipeConn returns a connection that does no I/O, so that the benchmark measures the
// Dialer only.
func newPipeConn() net.Conn {
	conn, _ := net.Pipe()
	return conn
}

// BenchmarkDialFunc measures what a Dialer adds to an inner dialer that returns at once.
func BenchmarkDialFunc(b *testing.B) {
	conn := newPipeConn()
	for name, gate := range map[string]*redial.Gate{"alone": nil, "at a Gate": new(redial.Gate)} {
		d := &redial.Dialer{
			DialFunc: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			Logger:   zap.NewNop(),
			Gate:     gate,
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Dial("tcp", address)
			}
		})
	}
}

// BenchmarkFailedDial measures a dial that fails at its only attempt: with a logger that discards
// all records, and with one that writes them as JSON.
func BenchmarkFailedDial(b *testing.B) {
	failure := errorOf(dialtest.Refuse)
	json := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.WarnLevel))
	for name, logger := range map[string]*zap.Logger{"no record": zap.NewNop(), "JSON": json} {
		d := &redial.Dialer{
			DialFunc:    func(context.Context, string, string) (net.Conn, error) { return nil, failure },
			Logger:      logger,
			MaxAttempts: 1,
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Dial("tcp", address)
			}
		})
	}
}

// BenchmarkWaiting measures the memory that a dial holds while it waits after real
// failures: in its first wait, in the wait in which its History is full, and long after that.
func BenchmarkWaiting(b *testing.B) {
	for _, attempts := range []int{1, 2, 8, 20} {
		b.Run(fmt.Sprintf("attempts=%d", attempts), func(b *testing.B) {
			for b.Loop() {
				heap, stack, goroutines := waiting(b, 10000, attempts)
				b.ReportMetric(heap, "heap-B/dial")
				b.ReportMetric(stack, "stack-B/dial")
				b.ReportMetric(goroutines, "goroutines/dial")
			}
		})
	}
}

// waiting returns the heap, the stack and the goroutines that a dial holds while it waits after that
// many attempts, which net.Dialer has made and the kernel has refused.
func waiting(t testing.TB, dials, attempts int) (heap, stack, goroutines float64) {
	closed := testutil.RefusingAddress(t, "tcp")
	waits := append(slices.Repeat([]time.Duration{time.Millisecond}, attempts-1), time.Hour)
	var failed, ended sync.WaitGroup
	d := &redial.Dialer{
		Logger:     zap.NewNop(),
		Policy:     redial.Policy{redial.Refused: after(waits...)},
		MaxElapsed: -1,
		OnAttempt:  func(context.Context, redial.Attempt) { failed.Done() },
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer ended.Wait()
	defer cancel()
	before, goroutinesBefore := testutil.Memory(), runtime.NumGoroutine()
	for begun := 0; begun < dials; begun++ {
		if begun%100 == 0 {
			failed.Wait() // so that the sockets in use are few
		}
		failed.Add(attempts)
		ended.Go(func() { d.DialContext(ctx, "tcp", closed) })
	}
	failed.Wait()
	held := testutil.Memory()
	each := func(after, before uint64) float64 { return (float64(after) - float64(before)) / float64(dials) }
	return each(held.HeapAlloc, before.HeapAlloc), each(held.StackInuse, before.StackInuse), float64(runtime.NumGoroutine()-goroutinesBefore) / float64(dials)
}
