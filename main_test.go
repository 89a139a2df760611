package redial_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestMain fails a run that leaves goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftGoroutines(5 * time.Second); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftGoroutines returns the stacks of those beside this one that are still
// there after patience: some end a moment after what they were started for.
func leftGoroutines(patience time.Duration) string {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var all bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&all, 2)
		var left []string
		for _, stack := range strings.Split(all.String(), "\n\n") {
			if !strings.Contains(stack, "redial_test.leftGoroutines") && !ofTheRuntime(stack) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

// ofTheRuntime knows the goroutines that a test binary has of itself.
func ofTheRuntime(stack string) bool {
	for _, own := range []string{"os/signal.signal_recv", "testing.(*F).Fuzz", "testing.runFuzzing", "runtime/pprof.profileWriter"} {
		if strings.Contains(stack, own) {
			return true
		}
	}
	return strings.TrimSpace(stack) == ""
}
