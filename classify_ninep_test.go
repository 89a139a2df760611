package redial

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Internal, so that the table of a system that can't run here is tested here.
func TestPlan9Class(t *testing.T) {
	for text, want := range map[string]Class{
		"connection refused":         Refused,
		"i/o on hungup channel":      Reset,
		"connection timed out":       Timeout,
		"no route":                   Unreachable,
		"network unreachable":        Unreachable,
		"permission denied":          Denied,
		"no free file descriptors":   Exhausted,
		"network port not available": Exhausted,
		"bad ip address syntax":      Invalid,
		"dial: connection refused":   Unknown, // compared as a whole
		"the front fell off":         Unknown,
	} {
		assert.Equal(t, want, plan9Class[text], text)
	}
}
