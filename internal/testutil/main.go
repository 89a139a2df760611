package testutil

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// Main runs the tests of a package, and fails if they leave goroutines behind. TestMain calls it.
func Main(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !fuzzing() { // the fuzzer leaves some of its own
		if left := leftGoroutines(before, 5*time.Second); left > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines left behind, of these:\n", left)
			pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			code = 1
		}
	}
	os.Exit(code)
}

// leftGoroutines returns how many more goroutines there are than before. Some end a moment after what they were
// started for, so it waits for them, for as long as patience says.
func leftGoroutines(before int, patience time.Duration) int {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if left := runtime.NumGoroutine() - before; left <= 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// fuzzing reports whether this process fuzzes, or serves one that does.
func fuzzing() bool {
	fuzz, worker := flag.Lookup("test.fuzz"), flag.Lookup("test.fuzzworker")
	return fuzz.Value.String() != "" || worker.Value.String() == "true"
}
