package plain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		61234 * time.Millisecond: "1m1s", 1234 * time.Millisecond: "1.2s", 340400 * time.Microsecond: "340ms", 1240 * time.Microsecond: "1.2ms", 12345: "12µs", 0: "0s",
	} {
		assert.Equal(t, want, Duration(d).String())
	}
}

func TestPort(t *testing.T) {
	assert.Equal(t, "5432", Port("postgres"))
	assert.Empty(t, Port("gopher"))
}
