package testutil

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOutput(t *testing.T) {
	var out Output
	go func() {
		io.WriteString(&out, "hello, ")
		io.WriteString(&out, "world")
	}()
	out.Await(t, "hello, world")
	assert.Equal(t, "hello, world", out.String())
}
