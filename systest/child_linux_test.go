package systest_test

// A test that changes the state of its whole process, such as its descriptors or its network, runs
// in a child process. The child is this test binary again, running only that test.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// childVariable is the environment variable that tells a child which test's body to run.
const childVariable = dnstest.ChildVariable

// childTimeout is when a child that hangs is ended. The child then prints the stacks of its
// goroutines.
const childTimeout = time.Minute

// inChild runs body, the body of test t, in a child process with env added to its environment. t
// fails if the child fails or does not run body to its end. t is skipped if the child skips the
// test. The child shares nothing with other tests, so t runs in parallel with them.
//
// The child also runs the part of t's function before the call of inChild. So call inChild first,
// and only once.
func inChild(t *testing.T, env []string, body func(t *testing.T)) {
	t.Helper()
	startChild(t, env, nil, body)
}

func startChild(t *testing.T, env []string, attr *syscall.SysProcAttr, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		body(t)
		fmt.Println(childMarker(t.Name()))
		return
	}
	t.Parallel()
	testutil.NeedProcesses(t)
	binary, err := os.Executable()
	require.NoError(t, err)
	// The child's own -test.timeout expires first, because it shows where the child hangs.
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run="+onlyTest(t.Name()), "-test.v", "-test.count=1",
		"-test.timeout="+childTimeout.String(), "-test.parallel=32") // most tests wait
	cmd.Env = append(append(os.Environ(), env...), childVariable+"="+t.Name(),
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // without this, a child under -race sleeps for a second before it exits
	cmd.SysProcAttr = attr
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Start()
	if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC)) {
		t.Skipf("making a network namespace needs root (CAP_SYS_ADMIN): %v; run it as root: go test -v -run '%s' ./systest", err, onlyTest(t.Name()))
	}
	require.NoError(t, err)
	skipped, err := childVerdict(t.Name(), output.String, cmd.Wait)
	require.NoErrorf(t, err, "the child wrote:\n%s", &output)
	if skipped {
		t.Skip(skipReason(output.String()))
	}
	t.Logf("the child wrote:\n%s", &output)
}

// childMarker returns the line that a child prints when it has run the body of a test to its end.
// The exit code alone does not show that: a child that finds no test to run also succeeds.
func childMarker(test string) string { return "child ran to the end: " + test }

// childVerdict waits for a child. It reports whether the child skipped the test, or returns an
// error if the child failed.
func childVerdict(test string, output func() string, wait func() error) (skipped bool, err error) {
	if err := wait(); err != nil {
		return false, err
	}
	switch out := output(); {
	case strings.Contains(out, "--- SKIP: "+test+" ("):
		return true, nil
	case !strings.Contains(out, childMarker(test)+"\n"), !strings.Contains(out, "--- PASS: "+test+" ("):
		return false, errors.New("the child did not run the test")
	}
	return false, nil
}

// skipReason returns what a child said when it skipped its test, without the lines that the testing
// package adds.
func skipReason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "    ") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	return strings.Join(said, "\n")
}

// onlyTest returns the -test.run pattern that matches only the test or subtest of that name.
func onlyTest(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// A child that fails or runs nothing is not taken for one that succeeded.
func TestChildVerdict(t *testing.T) {
	const test = "TestX/y"
	pass, skip := "    --- PASS: TestX/y (0.00s)\n", "    --- SKIP: TestX/y (0.00s)\n"
	marker := childMarker(test) + "\n"
	for _, c := range []struct {
		name    string
		output  string
		wait    error
		skipped bool
		fails   bool
	}{
		{name: "passed", output: marker + pass},
		{name: "skipped", output: skip, skipped: true},
		{name: "failed", output: marker + pass, wait: errors.New("exit status 1"), fails: true},
		{name: "failed after a skip", output: skip, wait: errors.New("exit status 1"), fails: true},
		{name: "no test to run", output: "testing: warning: no tests to run\nPASS\n", fails: true},
		{name: "body not reached", output: pass, fails: true},
		{name: "another's marker", output: childMarker("TestX") + "\n" + pass, fails: true},
		{name: "only a subtest skipped", output: "--- SKIP: TestX/y/z (0.00s)\n" + marker + pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			skipped, err := childVerdict(test, func() string { return c.output }, func() error { return c.wait })
			assert.Equal(t, c.skipped, skipped)
			assert.Equal(t, c.fails, err != nil, "%v", err)
		})
	}
}

func TestSkipReason(t *testing.T) {
	const output = "=== RUN   TestX\n    x_test.go:7: this machine has no ::1\n        and more\n--- SKIP: TestX (0.00s)\nPASS\n"
	assert.Equal(t, "x_test.go:7: this machine has no ::1\nand more", skipReason(output))
}
