package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// binary is probe, built as go run builds it; empty where no processes can be
// started. server is an https one whose certificate this process and those
// that it starts trust, where the system's roots can be set (see crypto/x509).
var (
	binary string
	server *httptest.Server
)

func TestMain(m *testing.M) {
	os.Exit(withBinary(m))
}

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if runtime.GOOS != "js" && runtime.GOOS != "wasip1" {
		binary = filepath.Join(dir, "probe.exe")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			log.Fatalf("go build: %v\n%s", err, out)
		}
	}
	server = httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	path := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(path, root, 0o600); err != nil {
		log.Fatal(err)
	}
	os.Setenv("SSL_CERT_FILE", path)
	return m.Run()
}

// probe runs the program as a user does.
func probe(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	if binary == "" {
		t.Skip("no processes on " + runtime.GOOS)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// inProcess is probe within this process, with colours if asked for.
func inProcess(t *testing.T, colors bool, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, &stdout, &stderr, colors)
	return code, stdout.String(), stderr.String()
}

func listen(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// closedPort has nobody who listens; its number is below those that systems
// hand out.
const closedPort = "1"

func TestConnected(t *testing.T) {
	address := "127.0.0.1:" + listen(t)
	code, out, errOut := probe(t, address)
	assert.Zero(t, code)
	assert.Regexp(t, `^tcp `+address+`\n  `+address+` +connected +\S+s\n$`, out)
	assert.Empty(t, errOut)

	code, out, _ = inProcess(t, false, "tcp4", address)
	assert.Zero(t, code)
	assert.Contains(t, out, "tcp4 "+address+"\n")
}

func TestName(t *testing.T) {
	address := "localhost:" + listen(t)
	code, out, _ := probe(t, "tcp4", address)
	assert.Zero(t, code)
	assert.Regexp(t, `\n  localhost: 1 address tried +resolved +\S+s\n  127.0.0.1:\d+ +connected +\S+s\n$`, out)
	code, _, _ = inProcess(t, false, "tcp4", address)
	assert.Zero(t, code)
}

func TestRefused(t *testing.T) {
	code, out, errOut := probe(t, "localhost:"+closedPort)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, ":"+closedPort+"  ")
	assert.Contains(t, out, " refused ")
	assert.Contains(t, out, "\nerror: dial tcp ")
	assert.Contains(t, out, "\nNothing listens on localhost:"+closedPort+" (", "the explanation knows the name")
	assert.Contains(t, out, "\n  - Is the server running")
	assert.Empty(t, errOut)
	assert.NotContains(t, out, "\x1b", "colours, though it is no terminal")

	code, out, _ = inProcess(t, true, "127.0.0.1:"+closedPort)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, red+"refused    "+plain)
	assert.Contains(t, out, red+"error: ")
}

func TestAttempts(t *testing.T) {
	for _, run := range []func(...string) (int, string, string){
		func(args ...string) (int, string, string) { return probe(t, args...) },
		func(args ...string) (int, string, string) { return inProcess(t, false, args...) },
	} {
		code, out, _ := run("-attempts", "3", "127.0.0.1:"+closedPort)
		assert.Equal(t, exitFailed, code)
		assert.Equal(t, 3, strings.Count(out, "  127.0.0.1:"+closedPort+"  "))
		assert.Contains(t, out, "  attempt 3, after a wait of ")
		assert.Contains(t, out, "(refused, 3 attempts in ")
		assert.Contains(t, out, "it refused the connection (3 attempts in ")
	}
}

func TestUnixSocket(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("no unix sockets, or with other errors")
	}
	dir, err := os.MkdirTemp("", "probe")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	code, out, _ := probe(t, "unix", path)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "There is no socket "+path)

	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	for _, args := range [][]string{{"unix", path}, {"unix:" + path}} {
		code, out, _ = probe(t, args...)
		assert.Zero(t, code)
		assert.Contains(t, out, "unix "+path+"\n")
		code, _, _ = inProcess(t, false, args...)
		assert.Zero(t, code)
	}
}

// A URL's host and port are what is looked at, with a handshake for https.
func TestURL(t *testing.T) {
	plainServer := httptest.NewServer(http.NotFoundHandler())
	defer plainServer.Close()
	code, out, _ := probe(t, plainServer.URL+"/path")
	assert.Zero(t, code)
	assert.Contains(t, out, "tcp "+plainServer.Listener.Addr().String()+"\n")
	assert.NotContains(t, out, "TLS")

	_, port, _ := net.SplitHostPort(plainServer.Listener.Addr().String())
	for _, run := range []func(...string) (int, string, string){
		func(args ...string) (int, string, string) { return probe(t, args...) },
		func(args ...string) (int, string, string) { return inProcess(t, false, args...) },
	} {
		code, out, _ = run("https://127.0.0.1:" + port)
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, out, "  127.0.0.1:"+port+" with TLS  tls ")
		assert.Contains(t, out, "does not speak TLS on that port: its answer is plain HTTP.")

		// The address was connected to; it is the handshake that failed.
		code, out, _ = run("-json", "https://localhost:"+port)
		assert.Equal(t, exitFailed, code)
		j := decode(t, out)
		assert.Equal(t, "tls", j.Class)
		require.Len(t, j.Attempts, 1)
		last := j.Attempts[0].Addrs[len(j.Attempts[0].Addrs)-1]
		assert.True(t, last.Connected)
		assert.Equal(t, "127.0.0.1:"+port, last.Addr)
		code, out, _ = run("https://localhost:" + port)
		assert.Equal(t, exitFailed, code)
		assert.Regexp(t, `  127.0.0.1:\d+ +connected .*\n  TLS +tls `, out)
	}
}

func TestHandshake(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || runtime.GOOS == "plan9" {
		t.Skip("the system's roots are not set by SSL_CERT_FILE")
	}
	for _, run := range []func(...string) (int, string, string){
		func(args ...string) (int, string, string) { return probe(t, args...) },
		func(args ...string) (int, string, string) { return inProcess(t, false, args...) },
	} {
		code, out, _ := run(server.URL)
		assert.Zero(t, code, "%s", out)
		assert.Regexp(t, `\n  TLS 1.3, http/1.1 +connected +\S+s\n$`, out)
		code, out, _ = run("-json", server.URL)
		assert.Zero(t, code)
		j := decode(t, out)
		assert.True(t, j.Connected)
		require.NotNil(t, j.TLS)
		assert.Equal(t, "TLS 1.3", j.TLS.Version)
		assert.Positive(t, j.TLS.Duration)

		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		code, out, _ = run("https://localhost:" + port)
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, out, "is for example.com, *.example.com, 127.0.0.1 and ::1, not for localhost.")
	}
}

func decode(t *testing.T, out string) (j jsonReport) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&j), "%s", out)
	assert.False(t, decoder.More(), "more than one object: %s", out)
	return j
}

// The names of the fields are a promise.
func TestJSON(t *testing.T) {
	code, out, errOut := probe(t, "-json", "-attempts=2", "127.0.0.1:"+closedPort)
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, errOut)
	j := decode(t, out)
	assert.False(t, j.Connected)
	assert.Equal(t, "refused", j.Class)
	assert.Len(t, j.Attempts, 2)
	assert.Positive(t, j.Attempts[0].Delay)
	assert.Equal(t, "MaxAttempts reached", j.Attempts[1].Stop)
	assert.True(t, strings.HasPrefix(j.Explanation, "Nothing listens on 127.0.0.1:"))
	for _, field := range []string{`{"network":"tcp","address":"127.0.0.1:1","connected":false,"class":"refused","error":"`, `"elapsed":`,
		`"attempts":[{"attempt":1,"duration":`, `"delay":`, `"stop":`, `"explanation":"`} {
		assert.Contains(t, out, field)
	}

	code, out, _ = inProcess(t, false, "-json", "tcp4", "localhost:"+listen(t))
	assert.Zero(t, code)
	j = decode(t, out)
	assert.True(t, j.Connected)
	assert.Empty(t, j.Explanation)
	assert.Positive(t, j.Elapsed)
	assert.Positive(t, j.Attempts[0].Resolve)
	assert.Equal(t, j.Remote, j.Attempts[0].Addrs[0].Addr)
}

// What a name with several addresses looks like: made up here, for a machine
// that has none.
func TestSeveralAddresses(t *testing.T) {
	refused := errors.New("connect: connection refused")
	addr := func(a string, class redial.Class, err error) redial.AddrResult {
		return redial.AddrResult{Addr: netip.MustParseAddrPort(a), Duration: time.Millisecond, Class: class, Err: err}
	}
	r := &report{target: target{network: "tcp", address: "db.example:80"}, attempts: []redial.Attempt{{
		Network: "tcp", Address: "db.example:80", Number: 1, Duration: 15 * time.Millisecond, Resolve: 12300 * time.Microsecond,
		Addrs: []redial.AddrResult{
			addr("[2001:db8::1]:80", redial.Refused, refused),
			addr("192.0.2.1:80", redial.Canceled, context.Canceled),
			addr("192.0.2.2:80", redial.Unknown, nil),
		},
		Remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:80")),
	}}}
	var out bytes.Buffer
	require.NoError(t, r.writeText(&out, false))
	assert.Equal(t, `tcp db.example:80
  db.example: 3 addresses tried  resolved     12ms
  [2001:db8::1]:80               refused      1ms
  192.0.2.1:80                   called off   1ms
  192.0.2.2:80                   connected    1ms
`, out.String())

	r.err = refused
	r.attempts[0].Addrs, r.attempts[0].Err, r.attempts[0].Class = nil, refused, redial.NotFound
	out.Reset()
	require.NoError(t, r.writeText(&out, true))
	assert.Contains(t, out.String(), "db.example  "+strings.Repeat(" ", 12)+red+"not_found")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"a", "b", "c"}, {"-attempts", "0", "a:1"}, {"-timeout", "0", "a:1"}, {"-nosuch"},
		{"http://:80"}, {"http://[::1"}, {"redis://db"},
	} {
		code, out, errOut := inProcess(t, false, args...)
		assert.Equal(t, exitUsage, code, "%q", args)
		assert.Empty(t, out)
		assert.Contains(t, errOut, "usage: probe")
	}
	code, _, errOut := probe(t)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errOut, "probe: which target?\n\nusage: probe")
	code, _, errOut = inProcess(t, false, "-h")
	assert.Zero(t, code)
	assert.Contains(t, errOut, "-json")
}

func TestParseTarget(t *testing.T) {
	for args, want := range map[string]target{
		"db:5432":               {"tcp", "db:5432", ""},
		"tcp6 db:5432":          {"tcp6", "db:5432", ""},
		"unix:/run/app.sock":    {"unix", "/run/app.sock", ""},
		"unix /run/app.sock":    {"unix", "/run/app.sock", ""},
		"http://api/health":     {"tcp", "api:80", ""},
		"http://api:8080":       {"tcp", "api:8080", ""},
		"https://api/health":    {"tcp", "api:443", "api"},
		"https://[2001:db8::1]": {"tcp", "[2001:db8::1]:443", "2001:db8::1"},
		"redis://db:6379":       {"tcp", "db:6379", ""},
	} {
		got, err := parseTarget(strings.Fields(args))
		assert.NoError(t, err)
		assert.Equal(t, want, got, args)
	}
}

// An interrupt ends the look, and says so.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, []string{"127.0.0.1:" + closedPort}, &out, io.Discard, false))
	assert.Contains(t, out.String(), "the caller had given up")
}

func TestColorsOfFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	assert.False(t, wantsColors(f))
}

// A reader that is gone is no success.
func TestWriteFails(t *testing.T) {
	assert.Equal(t, exitFailed, run(t.Context(), []string{"-json", "127.0.0.1:" + listen(t)}, brokenWriter{}, io.Discard, false))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestTLSStep(t *testing.T) {
	r := &report{tls: tls.ConnectionState{Version: tls.VersionTLS12}}
	assert.Equal(t, "TLS 1.2", r.tlsStep())
	assert.Equal(t, "12ms 1.2ms 12µs", fmt.Sprint(shown(12*time.Millisecond), " ", shown(1240*time.Microsecond), " ", shown(12*time.Microsecond)))
}
