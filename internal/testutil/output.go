package testutil

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long Await waits. It is much longer than what a test waits for takes.
const patience = 30 * time.Second

// An Output holds what a program writes. It can be read while the program writes. The zero value is
// empty and ready to use.
type Output struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.content.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.content.String()
}

// Await returns once the output contains text. It fails t if that takes too long.
func (o *Output) Await(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(o.String(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.Fail(t, "not written in time", "%q, but:\n%s", text, o.String())
		}
	}
}
