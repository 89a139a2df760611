package redial_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

func TestClassifyWin32(t *testing.T) {
	for errno, want := range map[syscall.Errno]redial.Class{
		1225: redial.Refused,
		64:   redial.Reset,
		1236: redial.Reset,
		121:  redial.Timeout,
		1231: redial.Unreachable,
		1232: redial.Unreachable,
		5:    redial.Denied,
		1450: redial.Exhausted,
		87:   redial.Invalid,
	} {
		assert.Equal(t, want, redial.Classify(opError("tcp", "connectex", errno)), "%d", errno)
	}
}
