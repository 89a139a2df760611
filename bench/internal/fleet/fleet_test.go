package fleet

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// Each simulated schedule makes the same delays as the peer's own loop: the shortest, the
// longest and the mean of many dials are alike.
func TestSchedules(t *testing.T) {
	const dials, attempts = 400, 9
	names := map[string]bench.Dialer{}
	for _, d := range bench.Dialers {
		names[d.Name] = d
	}
	for _, s := range append(Peers, Default(redial.Refused)) {
		testutil.Bubble(t, s.Name, func(t *testing.T) {
			var mu sync.Mutex
			real := make([][]time.Duration, attempts-1)
			record := func(dial func(ctx context.Context, connect bench.Dial)) {
				n, last := 0, time.Now()
				dial(t.Context(), func(context.Context, string, string) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					if n > 0 {
						real[n-1] = append(real[n-1], time.Since(last))
					}
					n, last = n+1, time.Now()
					return nil, errRefused
				})
			}
			var all sync.WaitGroup
			for range dials {
				all.Go(func() {
					record(func(ctx context.Context, connect bench.Dial) {
						o := bench.Options{Connect: connect, Attempts: attempts}
						if s.Name == "go-retryablehttp" {
							client := bench.HTTPClients[4].New(bench.HTTPOptions{Dial: o})
							_, err := client.Get("http://192.0.2.1")
							assert.Error(t, err)
							return
						}
						_, err := names[s.Name].New(o)(ctx, "tcp", "192.0.2.1:80")
						assert.Error(t, err)
					})
				})
			}
			all.Wait()
			simulated := make([][]time.Duration, attempts-1)
			for range dials {
				next := s.New()
				for i := range simulated {
					simulated[i] = append(simulated[i], next())
				}
			}
			for i := range real {
				if len(real[i]) == 0 && s.Name == "redial" {
					continue // its 30 s were over
				}
				low, high, mean := span(real[i])
				simulatedLow, simulatedHigh, simulatedMean := span(simulated[i])
				within := float64(simulatedMean) * 0.12
				assert.InDelta(t, simulatedMean, mean, within, "mean of delay %d", i+1)
				assert.InDelta(t, simulatedLow, low, within)
				assert.InDelta(t, simulatedHigh, high, within)
			}
		})
	}
}

func span(all []time.Duration) (low, high, mean time.Duration) {
	low = all[0]
	for _, d := range all {
		low, high = min(low, d), max(high, d)
		mean += d / time.Duration(len(all))
	}
	return low, high, mean
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

// The simulation makes each attempt of a lone dial once, at the time that its schedule says.
func TestLoneDial(t *testing.T) {
	every := Schedule{New: func() Next { return func() time.Duration { return time.Second } }}
	f := Fleet{Processes: 1, Dials: 1, Spread: 1, Down: 2500 * time.Millisecond, Rate: 1000, Queue: 1}
	r := f.Simulate(every, seeded())
	assert.Equal(t, []int{1, 1, 1, 1}, r.PerSecond)
	assert.Equal(t, 4, r.Attempts)
	assert.Equal(t, 1, r.Connected)
	assert.Equal(t, 501*time.Millisecond, r.Last)

	r = f.Simulate(Once("", 3), seeded())
	assert.Equal(t, 3, r.Attempts)
	assert.Zero(t, r.Connected)
}

// The server accepts as many connections as it can, and refuses those that its queue cannot hold.
func TestServer(t *testing.T) {
	never := Once("", 1)
	f := Fleet{Processes: 1, Dials: 50, Spread: 1, Rate: 1000, Queue: 10}
	r := f.Simulate(never, seeded())
	assert.Equal(t, 10, r.Connected)
	assert.Equal(t, 10*time.Millisecond, r.Last)

	f.Queue = 100
	r = f.Simulate(never, seeded())
	assert.Equal(t, 50, r.Connected)
	assert.Equal(t, 50*time.Millisecond, r.Last)
}
