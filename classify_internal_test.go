package redial

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A value that is no class is Unknown wherever classes are compared.
func TestClassOutOfRange(t *testing.T) {
	for class := range Class(255) {
		if class < numClasses {
			assert.Equal(t, class, class.known())
			assert.Equal(t, telling[class], class.weight())
			assert.Positive(t, class.weight(), "%v has no weight", class)
		} else {
			assert.Equal(t, Unknown, class.known())
			assert.Equal(t, Unknown.weight(), class.weight())
		}
	}
}

// What Classify knows of package net by its values. Without them it still
// works, but knows less.
func TestNetSentinels(t *testing.T) {
	assert.EqualError(t, errMissingAddress(), "missing address")
	assert.Equal(t, "no suitable address found", noSuitableAddress())
}
