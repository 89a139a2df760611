package redial

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// BenchmarkWaitingAtGate measures the memory that a dial holds while it waits at a Gate
// for another dial's probe. The benchmark is inside the package, because only the Gate
// knows that all dials wait.
func BenchmarkWaitingAtGate(b *testing.B) {
	const dials = 1000
	d := &Dialer{
		DialFunc:   func(context.Context, string, string) (net.Conn, error) { return nil, errnoRefused },
		Policy:     Policy{Refused: Exponential(time.Hour, 2*time.Hour)},
		Logger:     zap.NewNop(),
		Gate:       &Gate{MinInterval: time.Hour},
		MaxElapsed: 10 * time.Hour,
	}
	wait := func(ctx context.Context, all *sync.WaitGroup, n, waiting int) {
		for range n {
			all.Go(func() { d.DialContext(ctx, "tcp", "192.0.2.1:80") })
		}
		for {
			d.Gate.mu.Lock()
			t := d.Gate.targets[targetKey{"tcp", "192.0.2.1:80"}]
			now := 0
			if t != nil {
				now = t.waiting.Len()
			}
			d.Gate.mu.Unlock()
			if now == waiting {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		wait(ctx, &all, 1, 1) // begins the outage
		before := testutil.Memory()
		wait(ctx, &all, dials, dials+1)
		after := testutil.Memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/dials, "heap-B/dial")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/dials, "stack-B/dial")
		cancel()
		all.Wait()
	}
}
