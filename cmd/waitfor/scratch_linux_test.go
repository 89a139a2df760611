package main

// The static binaries in a root directory that has nothing else, as in an image FROM scratch.

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestFromScratch(t *testing.T) {
	t.Parallel()
	testutil.NeedProcesses(t)
	if _, err := exec.LookPath("go"); err != nil || os.Getuid() != 0 {
		t.Skip("it needs the go command, and root for chroot")
	}
	dir := t.TempDir()
	for _, name := range []string{"waitfor", "probe"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	run := func(args ...string) (code int, output string) {
		cmd := &exec.Cmd{Path: args[0], Args: args, Dir: "/", SysProcAttr: &syscall.SysProcAttr{Chroot: dir}}
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()

	code, out := run("/waitfor", "-quiet", address, "--", "/probe", "-json", address)
	assert.Zero(t, code, out)
	assert.Contains(t, out, `"connected":true`)
	code, out = run("/waitfor", address, "--", "/no-such-command")
	assert.Equal(t, exitNotFound, code, out)
	code, out = run("/probe", server.URL)
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "-cacert", "there are no authorities")
	code, out = run("/probe", "-insecure", server.URL)
	assert.Zero(t, code, out)
	assert.Contains(t, out, "status 404")
}
