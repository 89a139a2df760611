package main

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestStatuses(t *testing.T) {
	for text, want := range map[string]map[int]bool{
		"":            {200: true, 404: true, 499: true, 500: false, 599: false},
		"200,204":     {200: true, 204: true, 201: false, 500: false},
		"2xx":         {200: true, 299: true, 300: false, 404: false},
		" 2XX , 404 ": {204: true, 404: true, 403: false},
		"503":         {503: true, 200: false},
	} {
		var s statuses
		if text != "" {
			require.NoError(t, s.Set(text))
		}
		for status, accepted := range want {
			assert.Equal(t, accepted, s.accepts(status), "%q %d", text, status)
		}
	}
	for _, text := range []string{"", "2x", "20", "2000", "600", "099", "abc", "2x0", "200,", "+20"} {
		assert.Error(t, new(statuses).Set(text), text)
	}
	assert.Equal(t, "it answered 404 Not Found", statusError(404).Error())
	assert.Equal(t, "it answered 599", statusError(599).Error())
}

// What -status does not name is waited for, and explained when the time is up.
func TestStatus(t *testing.T) {
	t.Parallel()
	server, status := serve(t, http.StatusNotFound)
	p := start(t, "-timeout=0", "-status=2xx", server.URL)
	p.stderr.Await(t, ": status 404: it answered 404 Not Found (attempt ")
	status.Store(http.StatusNoContent)
	assert.Zero(t, p.code())

	for code, want := range map[int]string{
		301: "\nThe server is there, but redirects: it answered 301 Moved Permanently, and -status 200,204 does not accept that.\n",
		404: "\nThe server is there, but it answered 404 Not Found, and -status 200,204 does not accept that.\n",
		503: "\nThe server is there and answers, but says that it can't serve: it answered 503 Service Unavailable.\n",
	} {
		status.Store(int32(code))
		exit, errOut := inProcess(t, "-status=200,204", "-timeout=500ms", server.URL)
		assert.Equal(t, exitTimedOut, exit)
		assert.Contains(t, errOut, want)
	}
}

func TestTLSTargets(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	cert := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(cert, block, 0o600))
	for _, flag := range []string{"-insecure", "-cacert=" + cert} {
		code, errOut := inProcess(t, flag, "tls://"+address, server.URL)
		assert.Zero(t, code, errOut)
	}
	a, err := firstAttempt(t, &options{}, "tls://"+address)
	assert.Error(t, err)
	assert.Equal(t, redial.TLS, a.Class)
}

func TestHTTPOverUnix(t *testing.T) {
	path := socketPath(t)
	arg := "http+unix://" + path + ":/health"
	p := start(t, "-timeout=0", arg)
	p.stderr.Await(t, arg+": refused: ")
	server := &http.Server{Handler: http.NotFoundHandler()}
	defer server.Close()
	go server.Serve(listenUnix(t, path))
	assert.Zero(t, p.code())
	assert.Contains(t, p.stderr.String(), arg+": there after ")
}

// With -interval the delay is the same each time, whatever the class.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.NXDomain.Times(2), dialtest.OK).FailTest(t)
		d := &redial.Dialer{DialFunc: script.DialContext, Policy: policy(3*time.Second, hopeless)}
		conn, err := d.DialContext(t.Context(), "tcp", "db:1")
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second}, script.Delays())
	})
	p := start(t, "-timeout=0", "-interval=1h", closedAddress(t))
	p.stderr.Await(t, "next in 1h0m0s)")
}

// -quiet writes the errors, and nothing else.
func TestQuietRun(t *testing.T) {
	code, errOut := inProcess(t, "-quiet", listen(t))
	assert.Zero(t, code)
	assert.Empty(t, errOut)
	closed := closedAddress(t)
	code, errOut = inProcess(t, "-quiet", "-timeout=300ms", closed)
	assert.Equal(t, exitTimedOut, code)
	assert.True(t, strings.HasPrefix(errOut, "\n"+closed+": dial tcp "), errOut)
}

// No output has the password of a URL: not while it waits, on a terminal or not,
// nor when all are there, nor when the time is up, nor on misuse.
func TestPasswords(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, http.StatusOK)
	down, _ := serve(t, http.StatusServiceUnavailable)
	host, downHost := strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(down.URL, "http://")
	closed := closedAddress(t)
	for _, test := range []struct {
		args string
		code int
	}{
		{"http://user:pass@" + host, 0},
		{"http://user:s3cret@" + downHost, 1},
		{"https://user:s3cret@" + host, 1},
		{"http://user:s3cret@" + closed, 1},
		{"http://user:s3cret@" + closed + "/1 http://user:s3cret@" + closed + "/2 http://user:s3cret@" + closed + "/3 http://user:s3cret@" + closed, 1},
		{"http+unix://user:s3cret@SOCKET:/", 1},
		{"-not http://user:s3cret@" + host, 1},
		{"http://user:s3cret@127.0.0.1:99999", 2},
		{"postgres://user:s3cret@db:5432/app", 2},
		{"gopher://user:s3cret@db/app", 2},
		{"postgres://user:s3cret@db/app", 2},
		{"udp://user:s3cret@db:53", 2},
		{"http://user:s3cret@", 2},
		{"http://user:s3cret/x@host", 2},
		{"http://user:s3cret%zz@host", 2},
		{"user:s3cret@db:5432", 2},
		{"user:s3cret@db", 2},
		{"-http://user:s3cret@host", 2},
		{"a:1 -http://user:s3cret@host", 2},
		{"-timeout http://user:s3cret@host", 2},
		{"-timeout user:s3cret@host", 2},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			args := test.args
			if strings.Contains(args, "SOCKET") {
				args = strings.ReplaceAll(args, "SOCKET", socketPath(t))
			}
			for _, screen := range []cli.Terminal{{}, (&screen{columns: 200, height: 24}).terminal()} {
				var out testutil.Output
				code := run(t.Context(), append([]string{"-timeout=250ms"}, strings.Fields(args)...), io.Discard, &out, screen)
				assert.Equal(t, test.code, code, &out)
				for _, password := range []string{"s3cret", ":pass@"} {
					assert.NotContains(t, out.String(), password)
				}
			}
		})
	}
	p := start(t, "http://user:pass@"+host)
	assert.Zero(t, p.code())
	assert.Contains(t, p.stderr.String(), "waitfor: http://user:xxxxx@"+host+": there after ")
}

// Many targets that fail in the same way are explained once.
func TestManyFailures(t *testing.T) {
	t.Parallel()
	args := append(untilRefused(), "-quiet")
	first := len(args)
	for range 300 {
		args = append(args, "tcp://"+closedAddress(t))
	}
	server, _ := serve(t, http.StatusBadGateway)
	args = append(args, server.URL)
	code, errOut := inProcess(t, args...)
	assert.Equal(t, exitTimedOut, code)
	assert.Contains(t, errOut, "\n300 targets failed in the same way (refused):\n  "+args[first]+", ")
	assert.Equal(t, 1, strings.Count(errOut, "Likely no server listens"))
	assert.Contains(t, errOut, "\nThe first of them:\n"+args[first]+": dial tcp ")
	for _, arg := range args[first:] {
		assert.Contains(t, errOut, arg)
	}
	assert.Contains(t, errOut, "\n\n"+server.URL+": ", "another failure is explained by itself")
	assert.Less(t, strings.Count(errOut, "\n"), 120)
}

// Failures are of the same kind if the same advice applies to them.
func TestKinds(t *testing.T) {
	o := &options{attempt: patience}
	kindOf := func(err error) string { return o.failureOf(target.Target{}, err).kind }
	failure := func(arg string) string {
		t.Helper()
		_, err := firstAttempt(t, o, arg)
		require.Error(t, err)
		return kindOf(err)
	}
	status, _ := serve(t, 503)
	other, _ := serve(t, 500)
	assert.Equal(t, failure(closedAddress(t)), failure(closedAddress(t)))
	assert.Equal(t, failure(status.URL), failure(status.URL+"/x"))
	assert.NotEqual(t, failure(status.URL), failure(other.URL))

	timeout := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, Err: err}
	}
	assert.Equal(t, kindOf(timeout(os.ErrDeadlineExceeded)), kindOf(timeout(context.DeadlineExceeded)))
	local := timeout(os.ErrDeadlineExceeded).(*net.OpError)
	local.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	assert.NotEqual(t, kindOf(timeout(os.ErrDeadlineExceeded)), kindOf(local), "the advice differs")
	assert.NotEqual(t, kindOf(io.ErrNoProgress), kindOf(io.ErrShortWrite), "the library knows neither")
	assert.NotEqual(t, failure(closedAddress(t)), failure("unix:"+socketPath(t)))
}

func TestWrapped(t *testing.T) {
	assert.Equal(t, "  a, b", wrapped([]string{"a", "b"}))
	long := strings.Repeat("x", lineLength)
	assert.Equal(t, "  "+long+",\n  b", wrapped([]string{long, "b"}))
	assert.Equal(t, "  b,\n  "+long, wrapped([]string{"b", long}))
}
