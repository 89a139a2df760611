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
// test binary again, whose TestMain calls RunProgram. It skips t as NeedProcesses does.
func Program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	NeedProcesses(t)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), programVariable+"=1",
		"GOCOVERDIR="+t.TempDir(),                       // otherwise it writes a warning if the tests measure coverage
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // otherwise it sleeps for a second if it is built with -race
	return cmd
}

// NeedProcesses skips t where a program can't start another one, or only as a program of another
// processor: an emulator such as qemu-user executes the test, but not the processes that the test
// starts.
func NeedProcesses(t testing.TB) {
	t.Helper()
	if simulatedNetwork {
		t.Skip("on " + runtime.GOOS + ", a program can't start another one")
	}
	if Emulated() {
		t.Skip("an emulator executes the test, but would not execute the processes that the test starts")
	}
}
