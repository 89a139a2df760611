package systest_test

// A test that changes what a process has but once, such as its descriptors or its network, runs in a child process: this
// test binary once more, running that very test.

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
)

// childVariable names, in the environment of a child, the test that it is to
// run the body of.
const childVariable = "REDIAL_TEST_CHILD"

// childTimeout ends a child that hangs, with the stacks of its goroutines.
const childTimeout = time.Minute

// inChild runs body, of the test t, in a child process with env added to its
// environment. t fails if the child does, or if it did not run body to its
// end; it is skipped if the child skipped it. The child shares nothing with
// other tests, so t runs in parallel with them.
//
// The child runs what t's function does before it calls inChild as well: call
// it first, and once.
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
	binary, err := os.Executable()
	require.NoError(t, err)
	// The child's own -test.timeout comes first: it tells where it hangs.
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run="+onlyTest(t.Name()), "-test.v", "-test.count=1",
		"-test.timeout="+childTimeout.String())
	cmd.Env = append(append(os.Environ(), env...), childVariable+"="+t.Name(),
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // else each child under -race ends in a second's sleep
	cmd.SysProcAttr = attr
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Start()
	if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC)) {
		t.Skipf("making a network namespace takes root (CAP_SYS_ADMIN): %v; run it as root: go test -v -run '%s' ./systest", err, onlyTest(t.Name()))
	}
	require.NoError(t, err)
	skipped, err := childVerdict(t.Name(), output.String, cmd.Wait)
	require.NoErrorf(t, err, "the child wrote:\n%s", &output)
	if skipped {
		t.Skip(skipReason(output.String()))
	}
	t.Logf("the child wrote:\n%s", &output)
}

// childMarker is what a child writes when it has run the body of a test to
// its end: one that found no test to run exits with success as well.
func childMarker(test string) string { return "child ran to the end: " + test }

// childVerdict waits for a child, and reports whether it skipped the test, or
// in what way it failed.
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

// skipReason returns what a child said when it skipped its test, without what
// the testing package wrote around it.
func skipReason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "    ") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	return strings.Join(said, "\n")
}

// onlyTest is the -test.run that matches the test or subtest of that name.
func onlyTest(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// A child that fails, or ran nothing, must not pass for one that succeeded.
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
