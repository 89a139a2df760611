//go:build unix

package systest_test

// A fault is one way in which dials fail on a real system. Tables of faults are in the files named
// faults_*_test.go, kernel_test.go and setup_linux_test.go, and testdata/faults.txt lists all of
// them. Each fault has a subtest named class/cause. The subtest checks the class, whether the default
// policy retries the class, and that a dial connects once the fault is gone.

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// A fault is a cause of failed dials.
type fault struct {
	class redial.Class
	cause string
	errno error  // the error of the failed attempt matches errno; nil means any error
	only  family // the family of the target; empty means both IPv4 and IPv6

	// begin makes the dial d fail. It may change d, or whatever d dials. It returns a function that
	// ends the fault, or nil if nothing can end it. If the class is retried, the function is called
	// during the dial, which a change of d would not affect.
	begin func(t *testing.T, d *faultyDial) (mend func())
}

// A family is a family of addresses.
type family string

const (
	ipv4 family = "IPv4"
	ipv6 family = "IPv6"
	unix family = "unix"
)

// A faultyDial is a dial that a fault makes fail.
type faultyDial struct {
	redial.Dialer
	ctx              context.Context // nil means t.Context
	network, address string

	// These are for faults of the network and of the resolver.
	ip     netip.Addr // of the target
	name   string     // of the target
	server *dnstest.Server
}

// classesRetried are the classes that the default policy retries. The list does not come from
// DefaultPolicy, because the tests of faults also test DefaultPolicy.
var classesRetried = []redial.Class{redial.Refused, redial.Reset, redial.DNS, redial.Timeout, redial.Unreachable}

func (f fault) String() string { return f.class.String() + "/" + f.cause }

// test begins the fault and dials by the default policy. The first attempt must fail with the
// fault's class. The fault then ends, if it can. If the class is retried, the same dial must
// connect. If not, the dial must fail after one attempt, and the next dial must connect.
func (f fault) test(t *testing.T, d faultyDial) {
	mend := f.begin(t, &d)
	retried := slices.Contains(classesRetried, f.class)
	if mend == nil {
		d.MaxAttempts = 2
	} else if retried {
		onAttempt := d.OnAttempt
		d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
			if a.Number == 1 {
				mend()
			}
			if onAttempt != nil {
				onAttempt(ctx, a)
			}
		}
	}

	attempts, err := d.dial(t)
	require.NotEmpty(t, attempts)
	first := attempts[0]
	assert.Equal(t, f.class, first.Class, "%v", first.Err)
	if f.errno != nil {
		assert.ErrorIs(t, first.Err, f.errno)
	}
	switch {
	case retried && mend == nil:
		require.Error(t, err)
		require.Len(t, attempts, 2, "the default policy retries class %v: %v", f.class, err)
		assert.Equal(t, f.class, attempts[1].Class, "%v", attempts[1].Err)
		assert.ErrorIs(t, err, redial.ErrMaxAttempts)
		assert.Equal(t, f.class, redial.Classify(err))
	case retried:
		require.NoError(t, err, "the dial failed although the fault had ended after the first attempt")
		require.GreaterOrEqual(t, len(attempts), 2)
		for _, a := range attempts[:len(attempts)-1] { // more than one only if the machine is slow
			assert.Equal(t, f.class, a.Class, "%v", a.Err)
		}
	default:
		require.Error(t, err)
		require.Len(t, attempts, 1, "the default policy does not retry class %v: %v", f.class, err)
		assert.Equal(t, f.class, redial.Classify(err))
		if f.class != redial.Canceled {
			assert.ErrorIs(t, err, redial.ErrPermanent)
		}
		if mend != nil {
			mend()
			attempts, err = d.dial(t)
			require.NoError(t, err, "a dial failed although the fault had ended before")
			require.Len(t, attempts, 1)
		}
	}
}

func (d *faultyDial) dial(t *testing.T) ([]redial.Attempt, error) {
	t.Helper()
	ctx := d.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	return dialRecordedIn(ctx, t, &d.Dialer, d.network, d.address)
}

// testFaults runs the subtests of faults that share nothing. The begin of each sets the network and the
// address to dial.
func testFaults(t *testing.T, faults []fault) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			f.test(t, faultyDial{})
		})
	}
}
