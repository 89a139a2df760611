package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
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
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	testutil.RunProgram(main)
	flag.Set("test.parallel", "16") // they wait most of the time; the command line overrides it
	os.Exit(m.Run())
}

// A process is waitfor as a user runs it.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr testutil.Output
}

// start starts waitfor, and ends it with t if it has not ended by itself.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: testutil.Program(t, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// code waits until the process has ended, and returns the exit code.
func (p *process) code() int {
	p.t.Helper()
	kill := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(p.t, err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// patience is how long a test waits for what should take no time.
const patience = 30 * time.Second

// enough is a -timeout within which an attempt on a busy machine gets through.
const enough = "2s"

// untilRefused returns flags with which the time is up between two attempts. In the middle of an
// attempt, waitfor would explain that attempt, which has not been refused yet.
func untilRefused() []string {
	if testutil.Refusal > 0 {
		return []string{"-timeout", (4 * testutil.Refusal).String(), "-interval", "1h"}
	}
	return []string{"-timeout", enough}
}

// echo is a command that writes its arguments.
func echo(args ...string) []string {
	if runtime.GOOS == "windows" {
		return append([]string{"cmd", "/c", "echo"}, args...)
	}
	return append([]string{"echo"}, args...)
}

func listen(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// closedAddress returns an address that nobody listens on, and that nobody else can
// get while the test runs.
func closedAddress(t *testing.T) string { return testutil.RefusingAddress(t, "tcp") }

// socketPath is short enough for every system's limit.
func socketPath(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("unix sockets have other errors here")
	}
	return testutil.SocketPath(t)
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serve answers with the status that it has at the time.
func serve(t *testing.T, status int) (*httptest.Server, *atomic.Int32) {
	var current atomic.Int32
	current.Store(int32(status))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); ok && user+password != "userpass" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(int(current.Load()))
	}))
	t.Cleanup(server.Close)
	return server, &current
}

func TestAllThere(t *testing.T) {
	server, _ := serve(t, http.StatusNotFound)
	address, path := listen(t), socketPath(t)
	listenUnix(t, path)
	p := start(t, address, "tcp://"+address, server.URL+"/health", "unix:"+path)
	assert.Zero(t, p.code(), "%s", &p.stderr)
	assert.Empty(t, p.stdout.String())
	for _, name := range []string{address, "tcp://" + address, server.URL + "/health", "unix:" + path} {
		assert.Contains(t, p.stderr.String(), "waitfor: "+name+": there after 1 attempt in ")
	}
}

// waitfor waits for all targets at once, in whatever order they come. Then the command
// has the process, and standard output to itself.
func TestComeLater(t *testing.T) {
	t.Parallel()
	server, status := serve(t, http.StatusServiceUnavailable)
	path := socketPath(t)
	p := start(t, "-timeout=0", "unix:"+path, server.URL, "--", "sh", "-c", `echo "$$ $1"; exit 7`, "sh", "--")
	p.stderr.Await(t, "unix:"+path+": refused: ")
	p.stderr.Await(t, server.URL+": status 503: it answered 503 Service Unavailable (attempt ")
	listenUnix(t, path)
	p.stderr.Await(t, "unix:"+path+": there after ")
	status.Store(http.StatusUnauthorized)
	assert.Equal(t, 7, p.code())
	assert.Equal(t, fmt.Sprintf("%d --\n", p.cmd.Process.Pid), p.stdout.String(), "not in its place")
	assert.NotContains(t, p.stderr.String(), "\x1b", "drawn, though it is no terminal")
}

func TestTimedOut(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, http.StatusBadGateway)
	there, closed := listen(t), closedAddress(t)
	args := append(untilRefused(), closed, server.URL, there, "--")
	p := start(t, append(args, echo("not to be run")...)...)
	assert.Equal(t, exitTimedOut, p.code())
	errOut := p.stderr.String()
	assert.Empty(t, p.stdout.String())
	assert.Contains(t, errOut, "\n"+closed+": dial tcp "+closed+": ")
	assert.Contains(t, errOut, "\n"+closed+" refused the connection")
	assert.Contains(t, errOut, "\n  - Is a server listening")
	assert.Contains(t, errOut, "\nThe server is there and answers, but says that it can't serve: it answered 502 Bad Gateway.\n")
	assert.NotContains(t, errOut, "\n"+there+": ", "explained, though it was there")
	assert.Regexp(t, `\n\nIf it only needs more time, raise -timeout \(now \S+s\)\.\n$`, errOut)
	for _, word := range []string{"unknown", "too close", "Dialer"} {
		assert.NotContains(t, errOut, word, "a word of the library")
	}
}

// A forwarder accepts for a server that is down, and closes at once. The command must not run.
func TestForwarder(t *testing.T) {
	t.Parallel()
	testutil.NeedSockets(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	address := listener.Addr().String()
	p := start(t, append([]string{address, "-timeout", enough, "-settle=10s", "-attempt=1m", "--"}, echo("not to be run")...)...)
	assert.Equal(t, exitTimedOut, p.code())
	assert.Empty(t, p.stdout.String())
	assert.Contains(t, p.stderr.String(), "waitfor: "+address+": reset: connected, closed by the peer after ")
	assert.Contains(t, p.stderr.String(), "\n"+address+" accepted the connection")

	code, errOut := inProcess(t, "-settle=0", address)
	assert.Zero(t, code, errOut)
}

// Plain HTTP to a port that takes only HTTPS does not show that the server is ready.
func TestPlainHTTPToHTTPS(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := "http" + strings.TrimPrefix(secure.URL, "https")
	code, errOut := inProcess(t, "-timeout", enough, plain)
	assert.Equal(t, exitTimedOut, code)
	assert.Contains(t, errOut, "\n"+plain+": plain HTTP to an HTTPS port: it answered 400 (")
	assert.Contains(t, errOut, "Is HTTPS meant? Give "+secure.URL)
	assert.NotContains(t, errOut, "raise -timeout", "time does not help")
}

// What a terminal could take for a command is escaped, in arguments and in what servers send.
func TestTerminalInjection(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\r\u009b31m"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(conn, "HTTP/1.1 "+strings.Repeat(evil, 1<<16)+"\r\n\r\n")
		conn.Close()
	}))
	defer server.Close()
	for _, args := range []string{server.URL, "db:5432" + evil, "unix:/nowhere/" + evil, evil, "-" + evil, "-cacert=" + evil + " a:1",
		"a:1 " + evil, "a:1 -- no-such-" + evil, "a:1 -- /no/such/" + evil} {
		var out bytes.Buffer
		run(t.Context(), append([]string{"-timeout=250ms"}, strings.Split(args, " ")...), io.Discard, &out, cli.Terminal{})
		for _, control := range []string{"\x1b", "\r", "\x07", "\u009b"} {
			assert.NotContains(t, out.String(), control, "%q", args)
		}
		assert.Less(t, out.Len(), 8000)

		s := &screen{columns: 80, height: 24}
		out.Reset()
		run(t.Context(), append([]string{"-timeout=250ms"}, strings.Split(args, " ")...), io.Discard, io.MultiWriter(s, &out), s.terminal()) // s panics at unknown sequences
		assert.NotContains(t, out.String(), "\x07")
	}
}

func TestGone(t *testing.T) {
	path := socketPath(t)
	listener, closed := listenUnix(t, path), closedAddress(t)
	p := start(t, "-not", "-timeout=0", "unix:"+path, closed, "--", "echo", "run")
	p.stderr.Await(t, closed+": gone after 1 attempt in ")
	p.stderr.Await(t, "unix:"+path+": still there (attempt ")
	listener.Close()
	assert.Zero(t, p.code())
	assert.Equal(t, "run\n", p.stdout.String())
}

func TestNotGone(t *testing.T) {
	t.Parallel()
	p := start(t, "-not", "-timeout", enough, listen(t))
	assert.Equal(t, exitTimedOut, p.code())
	assert.Contains(t, p.stderr.String(), "\nIt still accepts connections: ")
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent a signal")
	}
	closed := closedAddress(t)
	for s, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		// One waits for its next attempt, one for an answer that does not come.
		p := start(t, "-timeout=0", "-attempt=1h", closed, "http://"+listen(t), "--", "echo", "not to be run")
		p.stderr.Await(t, closed+": refused")
		require.NoError(t, p.cmd.Process.Signal(s))
		assert.Equal(t, code, p.code(), "%v", s)
		assert.Contains(t, p.stderr.String(), "waitfor: got signal "+s.String()+"\n")
		assert.Empty(t, p.stdout.String())
	}
}

func TestCommand(t *testing.T) {
	address := listen(t)
	p := start(t, address, "--", "no-such-command-"+fmt.Sprint(os.Getpid()))
	assert.Equal(t, exitNotFound, p.code())
	assert.NotContains(t, p.stderr.String(), "there after", "it waited first")

	if runtime.GOOS == "windows" {
		return
	}
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("no program"), 0o600))
	assert.Equal(t, exitCantRun, start(t, address, "--", script).code())
	require.NoError(t, os.Chmod(script, 0o700))
	assert.Equal(t, exitCantRun, start(t, address, "--", script).code())
}

// inProcess runs without a command, which would take the test's place.
func inProcess(t *testing.T, args ...string) (code int, errOut string) {
	t.Helper()
	var out bytes.Buffer
	return run(t.Context(), args, io.Discard, &out, cli.Terminal{}), out.String()
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "no target: give what to wait for"},
		{"-- echo", "no target: give what to wait for"},
		{"-nosuch", "flag provided but not defined"},
		{"-timeout 30 a:1", "waitfor: invalid value \"30\" for flag -timeout: it lacks a unit: write 30s for seconds"},
		{"-timeout -1s a:1", "-timeout and -interval must not be negative"},
		{"-interval -1s a:1", "-timeout and -interval must not be negative"},
		{"-attempt 0s a:1", "-attempt must be positive"},
		{"-status 2x a:1", "\"2x\" is no status: write numbers such as 200,204 or classes such as 2xx"},
		{"-cacert /nowhere a:1", "-cacert: open /nowhere"},
		{"a:1 echo hi", "echo is no target. If it is the command to run, write -- before it: waitfor a:1 ... -- echo"},
		{"a:1 ./migrate -x", "./migrate is no target. If it is the command"},
		{"a:1 localhost 5432", "localhost: give host and port as one: localhost:5432"},
		{"localhost 5432", "localhost: give host and port as one: localhost:5432"},
		{"postgres://localhost/db", "waitfor does not speak postgres: give localhost:5432 to wait until"},
		{"gopher://db", "gopher://db: the port is missing: give db:port"},
		{"db", "db: The address \"db\" has no port.\n  - Add the port of the service, for example db:80"},
		{"2001:db8::1", "brackets"},
		{"unix:", "give unix:/run/app.sock"},
		{"http:///x", "give http://host:port"},
		{"http://[::1", "missing ']'"},
		{"redis://db:6379", "waitfor does not speak redis: give db:6379 to wait until that port accepts connections"},
		{"udp://db:53", "UDP has no connections"},
	} {
		code, errOut := inProcess(t, strings.Fields(c.args)...)
		assert.Equal(t, exitUsage, code, "%q", c.args)
		assert.Contains(t, errOut, c.want)
		assert.Contains(t, errOut, "usage: waitfor", "%q", c.args)
	}
	for _, args := range [][]string{{"-h"}, {"a:1", "--help"}} {
		p := start(t, args...)
		assert.Zero(t, p.code())
		assert.Contains(t, p.stdout.String(), "usage: waitfor")
		assert.Contains(t, p.stdout.String(), "-settle")
		assert.Empty(t, p.stderr.String())
	}
	p := start(t)
	assert.Equal(t, exitUsage, p.code())
	assert.Contains(t, p.stderr.String(), "usage: waitfor")
	code, errOut := inProcess(t, "a:1", "--", "no-such-command")
	assert.Equal(t, exitNotFound, code)
	assert.Contains(t, errOut, "no-such-command")
}

// A target that only the dial finds to be invalid ends the wait for the others.
func TestWrongTarget(t *testing.T) {
	code, errOut := inProcess(t, "-timeout=30s", closedAddress(t), "127.0.0.1:no-such-service")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errOut, "The port \"no-such-service\" is no number")
	assert.NotContains(t, errOut, "Likely no server listens", "what was not its fault is explained")
}

func TestInProcess(t *testing.T) {
	server, _ := serve(t, http.StatusOK)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	code, errOut := inProcess(t, server.URL, "http://user:pass@127.0.0.1:"+port)
	assert.Zero(t, code, "%s", errOut)
	code, _ = inProcess(t, "-not", closedAddress(t))
	assert.Zero(t, code)
}

func TestTimedOutInProcess(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, http.StatusInternalServerError)
	closed := closedAddress(t)
	code, errOut := inProcess(t, append(untilRefused(), server.URL, closed)...)
	assert.Equal(t, exitTimedOut, code)
	assert.Contains(t, errOut, "\nThe server is there and answers, but says that it can't serve: it answered 500 Internal Server Error.\n")
	assert.Contains(t, errOut, "\n"+closed+" refused the connection")
}

// firstAttempt returns the record of the first attempt at a target, and the error of
// the dial. The caller gives up after that attempt.
func firstAttempt(t *testing.T, o *options, arg string) (first redial.Attempt, err error) {
	t.Helper()
	tgt, err := parseTarget([]string{arg})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.attempt = patience
	err = o.waitFor(ctx, tgt, func(a redial.Attempt) {
		first = a
		cancel()
	})
	require.Equal(t, 1, first.Number)
	return first, err
}

// A server that speaks no HTTP, or whose TLS is not to be trusted, is not
// there, but may yet be.
func TestNoHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer listener.Close()
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("220 mail.example\r\n"))
			conn.Close()
		}
	})
	a, err := firstAttempt(t, &options{}, "http://"+listener.Addr().String())
	assert.Error(t, err)
	assert.Error(t, a.Err)
	assert.Positive(t, a.Delay)

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	a, err = firstAttempt(t, &options{}, secure.URL)
	assert.Error(t, err)
	assert.Equal(t, redial.TLS, a.Class, "%v", a.Err)
	assert.Positive(t, a.Delay)
}

func TestExplainFailure(t *testing.T) {
	a, err := firstAttempt(t, &options{not: true}, listen(t))
	assert.ErrorIs(t, a.Err, errStillThere)
	o := new(options)
	assert.Contains(t, o.advise(target.Target{}, err).Observed, "It still accepts connections")

	failed := &redial.Error{Attempts: 2, Class: redial.Unknown, Err: statusError(503), Stop: redial.ErrDeadline}
	assert.Contains(t, o.advise(target.Target{}, failed).Observed, "it answered 503 Service Unavailable.")
	failed.Class, failed.Err = redial.Timeout, context.DeadlineExceeded
	assert.Equal(t, explain.For(failed), o.advise(target.Target{}, failed))

	// Of the only attempt, too, it says what was dialed.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	silent, err := parseTarget([]string{"http://" + listen(t)})
	require.NoError(t, err)
	err = (&options{attempt: patience}).waitFor(ctx, silent, func(redial.Attempt) {})
	assert.Contains(t, o.advise(silent, err).Observed, silent.Address)
}

func TestSignaledInProcess(t *testing.T) {
	for s, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cli.Signaled{Signal: s})
		var out bytes.Buffer
		assert.Equal(t, code, run(ctx, []string{closedAddress(t)}, io.Discard, &out, cli.Terminal{}))
		assert.Equal(t, "waitfor: got signal "+s.String()+"\n", out.String())
	}
}

func TestPolicy(t *testing.T) {
	p := policy(0, hopeless)
	assert.NotContains(t, p, redial.Invalid)
	assert.Contains(t, p, redial.NotFound, "the record may yet be created")
	assert.Equal(t, []redial.Class{redial.Refused, redial.NotFound}, gone, "no other class is proof of it")
}
