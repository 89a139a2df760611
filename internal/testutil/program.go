package testutil

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// programVariable is the environment variable that makes a test binary run as the program that it
// tests.
const programVariable = "REDIAL_TEST_PROGRAM"

// RunProgram runs main, and does not return, if this process is a command that Program made. Call
// it first in TestMain.
func RunProgram(main func()) {
	if os.Getenv(programVariable) == "" {
		return
	}
	os.Unsetenv(programVariable) // the program may run other programs
	main()
	os.Exit(0)
}

// Program returns a command that runs the program of the package under test, as a user does: this
// test binary again, whose TestMain calls RunProgram. It skips t on systems where a program can't
// start another one.
func Program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	if simulatedNetwork {
		t.Skip("on " + runtime.GOOS + ", a program can't start another one")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), programVariable+"=1",
		"GOCOVERDIR="+t.TempDir(),                       // otherwise it writes a warning if the tests measure coverage
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // otherwise it sleeps for a second if it is built with -race
	return cmd
}

// Started checks that err, the error of starting this test binary once more, is nil. It skips t if
// only an emulator, such as qemu-user, can execute the binary: the emulator runs the test, but the
// kernel starts the command.
func Started(t testing.TB, err error) {
	t.Helper()
	if isForeign(err) {
		t.Skipf("this machine executes programs for %s by an emulator only: %v", runtime.GOARCH, err)
	}
	require.NoError(t, err)
}
