package systest_test

// These helpers compare explanations of real failures with the files in testdata/explain. After a
// change,
//
//	go test -run Explain ./systest -update
//
// rewrites the files; review them with git diff. Run it as root to rewrite the files of the tests
// that need namespaces too.

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
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/explain"
)

const goldenDir = "testdata/explain"

var update = flag.Bool("update", false, "rewrite the golden files")

// updateVariable is the environment variable that passes -update on to a child process.
const updateVariable = "REDIAL_TEST_UPDATE"

func updating() bool { return *update || os.Getenv(updateVariable) != "" }

// updateEnv returns the env argument for inChild and inNamespace that passes -update on.
func updateEnv() []string {
	if updating() {
		return []string{updateVariable + "=1"}
	}
	return nil
}

// assertGolden compares the explanation of err with the file of that name. replace has pairs: a
// text that differs from run to run, such as a port, and the text that stands for it in the file.
func assertGolden(t *testing.T, name string, err error, replace ...string) {
	t.Helper()
	require.Error(t, err)
	got := explain.Error(err)
	assertForm(t, got)
	got = strings.NewReplacer(replace...).Replace(got) + "\n"
	path := filepath.Join(goldenDir, name+".golden")
	if updating() {
		require.NoError(t, os.MkdirAll(goldenDir, 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, readErr := os.ReadFile(path)
	require.NoError(t, readErr)
	assert.Equal(t, string(want), got, "explanation of: %v", err)
}

// assertGoldenReal is assertGolden for a dial whose durations differ from run to run.
func assertGoldenReal(t *testing.T, name string, err error, replace ...string) {
	t.Helper()
	for _, duration := range durations.FindAllString(explain.Error(err), -1) {
		replace = append(replace, duration, "TIME")
	}
	assertGolden(t, name, err, replace...)
}

var durations = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b`)

// assertForm checks the rules for every explanation: its length, its width and its list of checks.
func assertForm(t *testing.T, explained string) {
	t.Helper()
	lines := strings.Split(explained, "\n")
	assert.LessOrEqual(t, len(lines), 6, "%s", explained)
	assert.Contains(t, explained, "\n  - ", "the explanation names nothing to check")
	for _, line := range lines {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 120, "%s", line)
		assert.NotContains(t, line, "%!", "a format verb does not match its argument")
		assert.Equal(t, strings.TrimRight(line, " "), line)
	}
}

// connectError returns net.Dialer's error if a connect to address fails with errno.
func connectError(address string, errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)),
		Err: os.NewSyscallError("connect", errno)}
}
