package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// server is an HTTPS server. Its certificate is in the file cert.
var (
	server *httptest.Server
	cert   string
)

func TestMain(m *testing.M) {
	testutil.RunProgram(main)
	flag.Set("test.parallel", "8") // they wait most of the time; the command line overrides it
	os.Exit(withServer(m))
}

func withServer(m *testing.M) int {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server = httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	cert = filepath.Join(dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(cert, block, 0o600); err != nil {
		log.Fatal(err)
	}
	return m.Run()
}

// A runner runs probe.
type runner func(t *testing.T, args ...string) (code int, out, errOut string)

// both are the ways to run probe: as a user does, and within this process, where
// coverage counts.
var both = map[string]runner{"process": probe, "in process": inProcess}

func probe(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := testutil.Program(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	err := cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func inProcess(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, &stdout, &stderr, false)
	return code, stdout.String(), stderr.String()
}

// patience is how long a test waits for what should take no time.
const patience = 30 * time.Second

// listen returns the port of a listener on 127.0.0.1.
func listen(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return portOf(t, listener.Addr().String())
}

// closedPort returns a port of 127.0.0.1 that nobody listens on, and that nobody else
// can get while the test runs.
func closedPort(t *testing.T) (port string) {
	t.Helper()
	return portOf(t, testutil.RefusingAddress(t, "tcp"))
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}

// socketPath returns a path that is short enough for every system's limit.
func socketPath(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("unix sockets have other errors here")
	}
	return testutil.SocketPath(t)
}

// decode decodes the single object of out.
func decode(t *testing.T, out string) (j jsonLook) {
	t.Helper()
	decodeInto(t, out, &j)
	return j
}

func decodeInto(t *testing.T, line string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(into), "%s", line)
	assert.False(t, decoder.More(), "more than one object: %s", line)
}

// assertMeasured checks a time in seconds.
func assertMeasured(t *testing.T, seconds float64) {
	t.Helper()
	testutil.AssertMeasured(t, time.Duration(seconds*float64(time.Second)))
}
