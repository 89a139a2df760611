package redial

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// An attempt is told its number, whether it is the last one, and the policy: a race of addresses waits for them as long as
// these allow.
func TestPlan(t *testing.T) {
	policy := Policy{Refused: func() backoff.BackOff { return backoff.NewConstantBackOff(600 * time.Millisecond) }}
	for name, test := range map[string]struct {
		maxAttempts int
		maxElapsed  time.Duration
		last        []bool // of each attempt
	}{
		"MaxAttempts 1": {1, 0, []bool{true}},
		"MaxAttempts 2": {2, 0, []bool{false, true}},
		"MaxAttempts 3": {3, 0, []bool{false, false, true}},
		"MaxElapsed":    {0, time.Second, []bool{false, false, true}}, // the last wait is shortened
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plans []plan
				w := way{network: "tcp", address: "a.test:80", connect: func(_ context.Context, _ *Dialer, _ way, p plan) (net.Conn, *lookup, error) {
					plans = append(plans, p)
					return nil, nil, os.NewSyscallError("connect", errno.ConnectionRefused.Err())
				}}
				d := &Dialer{Policy: policy, MaxAttempts: test.maxAttempts, MaxElapsed: test.maxElapsed}
				_, err := d.dialBy(t.Context(), w)
				require.Error(t, err)
				require.Len(t, plans, len(test.last))
				for i, p := range plans {
					assert.Equal(t, i+1, p.number)
					assert.Equal(t, test.last[i], p.last, "attempt %d", i+1)
					assert.Equal(t, !p.last, p.retries(Refused))
					assert.False(t, p.retries(Reset))
				}
			})
		})
	}
}
