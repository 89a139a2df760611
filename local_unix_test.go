//go:build unix

package redial_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// The check whether descriptors are left gives back those that it has opened.
func TestDescriptorCheckClosesItsOwn(t *testing.T) {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain.Forever()).DialContext}
	before := nextDescriptor(t)
	for range 20 {
		_, err := d.Dial("tcp", address)
		assert.Equal(t, redial.NotFound, redial.Classify(err))
	}
	assert.Less(t, nextDescriptor(t), before+20)
}

// nextDescriptor returns the lowest descriptor that is free (open(2)).
func nextDescriptor(t *testing.T) uintptr {
	t.Helper()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	return f.Fd()
}
