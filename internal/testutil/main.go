package testutil

import (
	"flag"
	"fmt"
	"io"
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
		code = checkGoroutines(before, 5*time.Second, os.Stderr)
	}
	os.Exit(code)
}

// checkGoroutines returns 1, and writes the stacks of all goroutines to out, if there are more than before. Some end a
// moment after what they were started for, so it waits for them, for as long as patience says.
func checkGoroutines(before int, patience time.Duration, out io.Writer) (code int) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := runtime.NumGoroutine() - before
		if left <= 0 {
			return 0
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(out, "%d goroutines left behind, of these:\n", left)
			pprof.Lookup("goroutine").WriteTo(out, 1)
			return 1
		}
	}
}

// fuzzing reports whether this process fuzzes, or serves one that does.
func fuzzing() bool {
	fuzz, worker := flag.Lookup("test.fuzz"), flag.Lookup("test.fuzzworker")
	return fuzz.Value.String() != "" || worker.Value.String() == "true"
}
