package redial_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// Errors of this operating system, for tests that run on every system.
const (
	sysRefused = syscall.ErrorString("connection refused")
	sysReset   = syscall.ErrorString("i/o on hungup channel")
)

func systemError(errno uint32) error { return syscall.ErrorString(fmt.Sprint("errno ", errno)) }

func TestClassifyPlan9ErrorString(t *testing.T) {
	assert.Equal(t, redial.Refused, redial.Classify(opError("tcp", "connect", syscall.ErrorString("connection refused"))))
	assert.Equal(t, redial.Exhausted, redial.Classify(syscall.EMFILE))
	assert.Equal(t, redial.Unknown, redial.Classify(syscall.ErrorString("no such thing")))
}
