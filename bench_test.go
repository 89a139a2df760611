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
func dialAndDrop(b *testing.B, dial dialFunc, address string) {
	conn, err := dial(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// BenchmarkDial compares a successful dial to an IP address, with a logger that logs
// nothing, with net.Dialer with the same Timeout. "overhead" alternates between the two,
// so that the machine's noise is the same for both. It reports the difference of the
// medians.
func BenchmarkDial(b *testing.B) {
	address := discard(b)
	plain := &net.Dialer{Timeout: 10 * time.Second}
	ours := &redial.Dialer{Dialer: *plain, Logger: zap.NewNop()}
	for name, dial := range map[string]dialFunc{"net": plain.DialContext, "redial": ours.DialContext} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dialAndDrop(b, dial, address)
			}
		})
	}
	b.Run("overhead", func(b *testing.B) {
		dials := [2]dialFunc{plain.DialContext, ours.DialContext}
		var took [2][]time.Duration
		for i := 0; b.Loop(); i++ {
			for j := range dials {
				which := (i + j) % 2 // each is first in every other round
				start := time.Now()
				dialAndDrop(b, dials[which], address)
				took[which] = append(took[which], time.Since(start))
			}
		}
		for i := range took {
			slices.Sort(took[i])
		}
		theirs, our := took[0][len(took[0])/2], took[1][len(took[1])/2]
		b.ReportMetric(float64(our-theirs), "ns-more/op")
		b.ReportMetric(100*float64(our-theirs)/float64(theirs), "%-more")
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
	delays := append(slices.Repeat([]time.Duration{time.Millisecond}, attempts-1), time.Hour)
	var failed sync.WaitGroup
	d := &redial.Dialer{
		Logger:    zap.NewNop(),
		Policy:    redial.Policy{redial.Refused: after(delays...)},
		OnAttempt: func(context.Context, redial.Attempt) { failed.Done() },
	}
	d.MaxElapsed = -1
	closed := testutil.RefusingAddress(b, "tcp")
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		before, goroutines := memory(), runtime.NumGoroutine()
		var ended sync.WaitGroup
		failed.Add(dials * attempts)
		for range dials {
			ended.Go(func() { d.DialContext(ctx, "tcp", closed) })
		}
		failed.Wait()
		after := memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/dials, "heap-B/dial")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/dials, "stack-B/dial")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/dials, "goroutines/dial")
		cancel()
		ended.Wait()
	}
}

func memory() (m runtime.MemStats) {
	for range 3 { // the second cycle shrinks the stacks that the first one found too large
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}
