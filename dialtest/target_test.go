package dialtest

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// innerError returns the context's own error if another version of Go has other errors for a
// context that is over.
func TestInnerError(t *testing.T) {
	inner := errors.Join(context.Canceled)
	for _, test := range []struct {
		name      string
		err, want error
	}{
		{"as today", &net.OpError{Op: "dial", Err: inner}, inner},
		{"no error", nil, context.Canceled},
		{"another type", inner, context.Canceled},
		{"a nil pointer", (*net.OpError)(nil), context.Canceled},
		{"nothing in it", &net.OpError{Op: "dial"}, context.Canceled},
		{"something else in it", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, innerError(test.err, context.Canceled))
		})
	}
}
