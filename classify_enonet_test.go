//go:build linux || solaris || windows || js

package redial_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

func TestClassifyENONET(t *testing.T) {
	assert.Equal(t, redial.Unreachable, redial.Classify(opError("tcp", "connect", syscall.ENONET)))
}
