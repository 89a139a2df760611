package testutil

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Decisions yields a fuzzer's bytes as decisions, and zeros after the last byte.
type Decisions []byte

// Next returns the next byte.
func (d *Decisions) Next() int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b)
}

// Pick returns one of its arguments.
func (d *Decisions) Pick(of ...int) int { return of[d.Next()%len(of)] }

// UpTo returns a time between 0 and most, in 256 steps.
func (d *Decisions) UpTo(most time.Duration) time.Duration {
	return most / 255 * time.Duration(d.Next())
}

// Bytes returns up to most bytes. It takes one byte for their number.
func (d *Decisions) Bytes(most int) []byte {
	n := min(d.Next()%(most+1), len(*d))
	b := (*d)[:n]
	*d = (*d)[n:]
	return b
}

// AddDecisions adds n slices of random bytes to the seeds of f, each longer than the one before by
// more bytes. They are the same at every run.
func AddDecisions(f *testing.F, n, more int) {
	for seed := range n {
		f.Add(RandomBytes(seed, (seed+1)*more))
	}
}

// RandomBytes returns n bytes, which depend on seed alone.
func RandomBytes(seed, n int) []byte {
	data := make([]byte, n)
	random := rand.NewPCG(uint64(seed), 1)
	for i := range data {
		data[i] = byte(random.Uint64())
	}
	return data
}
