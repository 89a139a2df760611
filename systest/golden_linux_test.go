package systest_test

// Explanations are compared with the files in testdata/explain. After a change,
//
//	go test -run Explain ./systest -update
//
// writes the files of real failures anew, for git diff to show; as root, for those that take namespaces.

import (
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// goldenDir is relative to this package, in which its tests run.
const goldenDir = "../testdata/explain"

var update = flag.Bool("update", false, "write the golden files anew")

// updateVariable passes -update on to a child process.
const updateVariable = "REDIAL_TEST_UPDATE"

func updating() bool { return *update || os.Getenv(updateVariable) != "" }

// updateEnv is for inChild and inNamespace.
func updateEnv() []string {
	if updating() {
		return []string{updateVariable + "=1"}
	}
	return nil
}

// assertGolden compares the explanation of err with the file of that name. replace has pairs of what differs from run to
// run, such as a port, and what stands for it in the file.
func assertGolden(t *testing.T, name string, err error, replace ...string) {
	t.Helper()
	require.Error(t, err)
	got := redial.Explain(err)
	assertForm(t, got)
	got = strings.NewReplacer(replace...).Replace(got) + "\n"
	path := filepath.Join(goldenDir, name+".golden")
	if updating() {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, readErr := os.ReadFile(path)
	require.NoError(t, readErr)
	assert.Equal(t, string(want), got, "of: %v", err)
}

// assertGoldenReal is assertGolden of a dial whose times are its own.
func assertGoldenReal(t *testing.T, name string, err error, replace ...string) {
	t.Helper()
	for _, duration := range durations.FindAllString(redial.Explain(err), -1) {
		replace = append(replace, duration, "TIME")
	}
	assertGolden(t, name, err, replace...)
}

var durations = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b`)

// assertForm checks what holds for every explanation.
func assertForm(t *testing.T, explained string) {
	t.Helper()
	lines := strings.Split(explained, "\n")
	assert.True(t, strings.HasSuffix(lines[0], "."), "%q", lines[0])
	assert.LessOrEqual(t, len(lines), 5, "more than four things to check:\n%s", explained)
	assert.GreaterOrEqual(t, len(lines), 2, "nothing to check:\n%s", explained)
	for _, line := range lines {
		assert.NotContains(t, line, "%!", "a format that does not fit")
		assert.NotContains(t, line, "invalid IP")
		assert.NotContains(t, line, "invalid AddrPort")
		assert.Equal(t, strings.TrimRight(line, " "), line)
	}
	for _, check := range lines[1:] {
		assert.Truef(t, strings.HasPrefix(check, "  - "), "%q", check)
	}
}

// connectError is net.Dialer's error of a connect to that address.
func connectError(address string, errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)),
		Err: os.NewSyscallError("connect", errno)}
}
