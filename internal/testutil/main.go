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

// Main runs the tests of a package. It fails if the tests leave goroutines behind. Call it from
// TestMain.
func Main(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !fuzzing() && runtime.GOOS != "js" { // the fuzzer and js's runtime leave goroutines of their own
		code = checkGoroutines(before, 5*time.Second, os.Stderr)
	}
	os.Exit(code)
}

// checkGoroutines returns 1, and writes the stacks of all goroutines to out, if more goroutines run
// than before. Some goroutines end only a moment after a test, so checkGoroutines waits up to
// patience for them to end.
func checkGoroutines(before int, patience time.Duration, out io.Writer) (code int) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := runtime.NumGoroutine() - before
		if left <= 0 {
			return 0
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(out, "%d goroutines left behind, among these:\n", left)
			pprof.Lookup("goroutine").WriteTo(out, 1)
			return 1
		}
	}
}

// fuzzing reports whether this process is a fuzzer, or the worker of one.
func fuzzing() bool {
	fuzz, worker := flag.Lookup("test.fuzz"), flag.Lookup("test.fuzzworker")
	return fuzz.Value.String() != "" || worker.Value.String() == "true"
}
