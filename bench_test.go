package redial_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
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

// BenchmarkWaiting measures the memory that a dial holds while it waits after real
// failures: in its first wait, and up to the wait in which its History is full.
func BenchmarkWaiting(b *testing.B) {
	for _, attempts := range []int{1, 2, 4, 20} {
		b.Run(fmt.Sprintf("attempts=%d", attempts), func(b *testing.B) { benchmarkWaiting(b, attempts) })
	}
}

func benchmarkWaiting(b *testing.B, attempts int) {
	const dials = 1000
	policy := redial.Policy{redial.Refused: redial.Exponential(time.Hour, 2*time.Hour)}
	if attempts > 1 {
		policy[redial.Refused] = after(append(slices.Repeat([]time.Duration{time.Millisecond}, attempts-1), time.Hour)...)
	}
	var failed sync.WaitGroup
	d := &redial.Dialer{
		Logger:    zap.NewNop(),
		Policy:    policy,
		OnAttempt: func(context.Context, redial.Attempt) { failed.Done() },
	}
	d.MaxElapsed = -1
	closed := testutil.RefusingAddress(b, "tcp")
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		before, goroutines := testutil.Memory(), runtime.NumGoroutine()
		var ended sync.WaitGroup
		failed.Add(dials * attempts)
		for range dials {
			ended.Go(func() { d.DialContext(ctx, "tcp", closed) })
		}
		failed.Wait()
		after := testutil.Memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/dials, "heap-B/dial")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/dials, "stack-B/dial")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/dials, "goroutines/dial")
		cancel()
		ended.Wait()
	}
}
