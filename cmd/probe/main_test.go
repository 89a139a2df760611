package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestConnected(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + listen(t)
	code, out, errOut := probe(t, address)
	assert.Zero(t, code)
	assert.Regexp(t, `^tcp `+address+`\n  `+address+`  connected    \S+s\n$`, out)
	assert.Empty(t, errOut)

	code, out, _ = inProcess(t, "tcp4", address)
	assert.Zero(t, code)
	assert.Contains(t, out, "tcp4 "+address+"\n")
}

func TestName(t *testing.T) {
	t.Parallel()
	address := "localhost:" + listen(t)
	for name, run := range both {
		code, out, _ := run(t, "tcp4", address)
		assert.Zero(t, code, name)
		assert.Regexp(t, `\n  localhost: 1 address tried  resolved     \S+s\n  127.0.0.1:\d+ +connected    \S+s\n$`, out)
	}
}

func TestRefused(t *testing.T) {
	port := closedPort(t)
	code, out, errOut := probe(t, "localhost:"+port)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, ":"+port+" ")
	assert.Contains(t, out, " refused ")
	assert.Contains(t, out, "\nerror: dial tcp ")
	assert.Contains(t, out, "\nlocalhost:"+port+" (", "the explanation knows the name")
	assert.Contains(t, out, "\n  - Is a server listening")
	assert.Empty(t, errOut)
	assert.NotContains(t, out, "\x1b", "colors, though it is no terminal")

	var colored bytes.Buffer
	assert.Equal(t, exitFailed, run(t.Context(), []string{"127.0.0.1:" + port}, &colored, io.Discard, true))
	assert.Contains(t, colored.String(), red+"refused    "+reset)
	assert.Contains(t, colored.String(), red+"error: ")
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + closedPort(t)
	for name, run := range both {
		code, out, _ := run(t, "-attempts", "3", address)
		assert.Equal(t, exitFailed, code, name)
		assert.Equal(t, 3, strings.Count(out, "  "+address+"  refused"))
		assert.Contains(t, out, "  attempt 3, after a wait of ")
		assert.Regexp(t, `\nerror: .* \(3 attempts in \S+\)\n`, out)
		assert.Contains(t, out, "refused the connection (3 attempts in ")
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	code, out, _ := probe(t, "unix", path)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "There is no unix socket "+path)

	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	for name, run := range both {
		for _, args := range [][]string{{"unix", path}, {"unix:" + path}, {"unix://" + path}} {
			code, out, _ = run(t, args...)
			assert.Zero(t, code, name)
			assert.Contains(t, out, "unix "+path+"\n")
		}
	}
}

// Each target gets a report of its own, in order. What can never work decides the
// exit code, wherever it stands.
func TestSeveralTargets(t *testing.T) {
	t.Parallel()
	there, missing := "127.0.0.1:"+listen(t), "127.0.0.1:"+closedPort(t)
	for name, run := range both {
		code, out, _ := run(t, "tcp4", there, there)
		assert.Zero(t, code, name)
		assert.Regexp(t, `^tcp4 `+there+`\n  .* connected .*\n\ntcp `+there+`\n  .* connected .*\n$`, out)

		code, out, _ = run(t, missing, there)
		assert.Equal(t, exitFailed, code, name)
		assert.Contains(t, out, " refused ")
		assert.Contains(t, out, "\n\ntcp "+there+"\n")

		code, out, _ = run(t, missing, "127.0.0.1:99999", there)
		assert.Equal(t, exitNever, code, name)
		assert.Contains(t, out, "\nThe port \"99999\" is not from 0 to 65535")
		assert.Contains(t, out, "\n\ntcp "+there+"\n", "the others are looked at all the same")
	}
}

func TestNothingSent(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	address := socket.LocalAddr().String()
	socket.Close()
	const note = "nothing was sent, so this does not show that anything listens there."
	for name, run := range both {
		for _, args := range [][]string{{"udp", address}, {"udp://" + address}} {
			code, out, _ := run(t, args...)
			assert.Zero(t, code, name)
			assert.Contains(t, out, "connected")
			assert.Contains(t, out, "\n\nUDP has no connections: "+note)
		}
		_, out, _ := run(t, "-json", "udp", address)
		assert.Contains(t, decode(t, out).Notes[0], note)
		_, out, _ = run(t, "-count=2", "-interval=0s", "udp", address)
		assert.Contains(t, out, note)
	}
}

func TestHTTP(t *testing.T) {
	plainServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer plainServer.Close()
	address := plainServer.Listener.Addr().String()
	for name, run := range both {
		code, out, _ := run(t, plainServer.URL)
		assert.Zero(t, code, name)
		assert.Regexp(t, `^tcp `+address+`\n  `+address+`  connected    \S+s\n  GET / +status 200   \S+s\n$`, out)

		code, out, _ = run(t, plainServer.URL+"/down?token=secret")
		assert.Zero(t, code, "it connected, and HTTP answered")
		assert.Regexp(t, `  GET /down +status 503 `, out)

		_, out, _ = run(t, "-json", plainServer.URL)
		j := decode(t, out)
		require.NotNil(t, j.HTTP)
		assert.Equal(t, 200, j.HTTP.Status)
		assertMeasured(t, j.HTTP.Duration)
		assert.Nil(t, j.TLS)

		// The address is connected to; it is the handshake that fails.
		code, out, _ = run(t, "https://"+address)
		assert.Equal(t, exitFailed, code)
		assert.Regexp(t, `  `+address+` +connected .*\n  TLS +tls `, out)
		assert.NotContains(t, out, "GET")
		assert.Contains(t, out, "does not speak TLS on that port: it answered in plain HTTP.")
		code, out, _ = run(t, "-json", "https://localhost:"+portOf(t, address))
		assert.Equal(t, exitFailed, code)
		j = decode(t, out)
		assert.Equal(t, "tls", j.Class)
		require.Len(t, j.Attempts, 1)
		assert.True(t, j.Attempts[0].Addrs[len(j.Attempts[0].Addrs)-1].Connected)
	}
}

func TestNoHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 1))
			io.WriteString(conn, "hello\r\n")
			conn.Close()
		}
	}()
	code, out, _ := inProcess(t, "http://"+listener.Addr().String()+"/")
	assert.Equal(t, exitFailed, code)
	assert.Regexp(t, ` connected .*\n  GET / +\w+ `, out)
	assert.Contains(t, out, "\nerror: ")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	const certificate = `certificate of "O=Acme Co", valid from 1970-01-01 to 2084-01-29` // of httptest
	address := server.Listener.Addr().String()
	for name, run := range both {
		for _, flags := range []string{"-insecure", "-cacert=" + cert} {
			code, out, _ := run(t, flags, server.URL)
			assert.Zero(t, code, "%s: %s", name, out)
			assert.Regexp(t, `\n  TLS 1.3, h2 +connected    \S+s\n  `+certificate+`\n  GET / +status 404   \S+s\n$`, out)
			code, out, _ = run(t, flags, "tls://"+address)
			assert.Zero(t, code, name)
			assert.Regexp(t, `\n  TLS 1.3 +connected    \S+s\n  `+certificate+`\n$`, out)
		}
		code, out, _ := run(t, "-json", "-insecure", server.URL)
		assert.Zero(t, code, name)
		j := decode(t, out)
		assert.True(t, j.Connected)
		require.NotNil(t, j.TLS)
		assert.Equal(t, "TLS 1.3", j.TLS.Version)
		assert.Equal(t, "h2", j.TLS.Protocol)
		assertMeasured(t, j.TLS.Duration)

		code, out, _ = run(t, "-cacert="+cert, "https://localhost:"+portOf(t, address))
		assert.Equal(t, exitFailed, code, name)
		assert.Contains(t, out, "is for example.com, *.example.com, 127.0.0.1 and ::1, not for localhost.")
		assert.Regexp(t, `\n  TLS +tls +\S+s\n  `+certificate+`\n`, out, "shown though it is not trusted")
	}
}

// A server that accepts and stays silent is described by what it was asked for.
func TestSilent(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + listen(t)
	for arg, want := range map[string]string{
		"tls://" + address:                         "TLS handshake: no answer within 200ms",
		"https://" + address:                       "TLS handshake: no answer within 200ms",
		"http://" + address + "/health?token=s3cr": "GET /health: no answer within 200ms",
	} {
		code, out, _ := inProcess(t, "-timeout=200ms", arg)
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, out, "\nerror: "+want+"\n")
		assert.Contains(t, out, "  timeout  ")
		_, out, _ = inProcess(t, "-timeout=200ms", "-json", arg)
		j := decode(t, out)
		assert.Equal(t, "timeout", j.Class)
		assert.Equal(t, want, j.Error)
	}
}

// No output has the password of a URL, whether the look succeeds or fails.
func TestPasswords(t *testing.T) {
	t.Parallel()
	plainServer := httptest.NewServer(http.NotFoundHandler())
	defer plainServer.Close()
	address := plainServer.Listener.Addr().String()
	missing := "127.0.0.1:" + closedPort(t)
	noSocket := exitFailed
	if _, err := net.Dial("unix", "/nowhere"); redial.Classify(err) == redial.Invalid {
		noSocket = exitNever // this system has no unix sockets
	}
	for _, test := range []struct {
		target string
		code   int
	}{
		{"http://user:s3cret@" + address, 0},
		{"https://user:s3cret@" + address, 1},
		{"http://user:s3cret@" + missing, 1},
		{"postgres://user:s3cret@" + missing, 1},
		{"http://user:s3cret@127.0.0.1:99999", 2},
		{"http://user:s3cret@", 2},
		{"gopher://user:s3cret@host", 2},
		{"http://user:s3cret/x@host", 2},
		{"http://user:s3cret%zz@host", 2},
		{"http+unix://user:s3cret@/nowhere:/x", noSocket},
		{"user:s3cret@" + address, 2},
		{"tcp http://user:s3cret@" + address, 2},
		{"tcp user:s3cret@" + address, 2},
		{"-http://user:s3cret@host", 2},
		{"x:1 -http://user:s3cret@host", 2},
		{"-timeout http://user:s3cret@host", 2},
	} {
		for _, flags := range []string{"", "-json", "-count=2 -interval=0s", "-json -count=2 -interval=0s", "-attempts=2"} {
			for name, run := range both {
				code, out, errOut := run(t, strings.Fields(flags+" "+test.target)...)
				assert.Equal(t, test.code, code, "%s: %s: %s%s", name, test.target, out, errOut)
				assert.NotContains(t, out+errOut, "s3cret", "%s: %s", flags, test.target)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "no target: give one, such as db:5432",
		"-attempts 0 a:1":      "-attempts and -timeout must be positive",
		"-timeout 0s a:1":      "-attempts and -timeout must be positive",
		"-timeout 30 a:1":      "write 30s for seconds",
		"-count -1 a:1":        "-count and -interval must not be negative",
		"-interval -1s a:1":    "-count and -interval must not be negative",
		"-nosuch":              "flag provided but not defined: -nosuch",
		"a:1 tcp":              "the address is missing: give tcp and then an address",
		"localhost 5432":       "localhost: give host and port as one: localhost:5432",
		"a:1 tpc":              "tpc: The address \"tpc\" has no port.",
		"http://:80":           "the host is missing",
		"gopher://db":          "give db:port",
		"/run/app.sock":        "/run/app.sock is a path. Write unix:/run/app.sock",
		"tcp ./app.sock":       "./app.sock is a path. Write unix:./app.sock",
		"-cacert /nowhere a:1": "-cacert: open /nowhere",
	} {
		code, out, errOut := inProcess(t, strings.Fields(args)...)
		assert.Equal(t, exitNever, code, "%q", args)
		assert.Empty(t, out)
		assert.Contains(t, errOut, want)
		assert.Contains(t, errOut, "\nusage: probe")
	}
	code, _, errOut := probe(t)
	assert.Equal(t, exitNever, code)
	assert.Contains(t, errOut, "probe: no target")
	for _, args := range [][]string{{"-h"}, {"a:1", "--help"}} {
		code, out, errOut := probe(t, args...)
		assert.Zero(t, code)
		assert.Contains(t, out, "usage: probe")
		assert.Contains(t, out, "-json")
		assert.Empty(t, errOut)
	}
}

// Flags can follow the targets.
func TestFlagsAfterTargets(t *testing.T) {
	address := "127.0.0.1:" + listen(t)
	code, out, errOut := inProcess(t, address, "-json", "-settle=0", address)
	assert.Zero(t, code, errOut)
	assert.Equal(t, 2, strings.Count(out, `{"target":`))
}

// A forwarder accepts for a server that is down.
func TestClosedAtOnce(t *testing.T) {
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
	port := portOf(t, listener.Addr().String())
	for name, run := range both {
		code, out, _ := run(t, "-settle=1m", "-timeout=1h", "localhost:"+port)
		assert.Equal(t, exitFailed, code, name)
		assert.Regexp(t, `  127.0.0.1:\d+ +connected  +\S+s\n  stays open +reset  +\S+s\n`, out)
		assert.Regexp(t, `\nerror: connected, closed by the peer after \S+s\n\n.* accepted the connection`, out)
		code, _, _ = run(t, "-settle=0", "127.0.0.1:"+port)
		assert.Zero(t, code, name)
	}
	// How long a connection had to stay open is no part of its time.
	_, out, _ := inProcess(t, "-settle=100ms", "-json", "127.0.0.1:"+listen(t))
	j := decode(t, out)
	assert.GreaterOrEqual(t, j.Attempts[0].Duration, 0.1)
	assert.Less(t, j.Elapsed, j.Attempts[0].Duration-0.09)
}

// Plain HTTP to a port that takes only HTTPS is a failure, although the server answers.
func TestPlainHTTPToHTTPS(t *testing.T) {
	url := "http" + strings.TrimPrefix(server.URL, "https")
	for name, run := range both {
		code, out, _ := run(t, url)
		assert.Equal(t, exitFailed, code, name)
		assert.Regexp(t, `  GET / +status 400 `, out)
		assert.Contains(t, out, "\nerror: plain HTTP to an HTTPS port: it answered 400\n")
		assert.Contains(t, out, "Is HTTPS meant? Give "+server.URL)
		code, out, _ = run(t, "-json", url)
		assert.Equal(t, exitFailed, code, name)
		j := decode(t, out)
		assert.Equal(t, 400, j.HTTP.Status)
		assert.Equal(t, "unknown.https-port", j.Advice.Code)
	}
}

// A certificate is not trusted before its names are shown, and they may hold anything.
func TestTerminalInjection(t *testing.T) {
	t.Parallel()
	const evil = "evil\x1b]0;owned\x07\r.example"
	start := func(lifetime time.Duration) (port string) {
		injecting := httptest.NewUnstartedServer(http.NotFoundHandler())
		injecting.Config.ErrorLog = log.New(io.Discard, "", 0)
		injecting.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: evil + "\u009b31m"}, DNSNames: []string{evil},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
		})}}
		injecting.StartTLS()
		t.Cleanup(injecting.Close)
		return portOf(t, injecting.Listener.Addr().String())
	}
	valid, expired := start(time.Hour), start(-90*time.Second)
	args := []string{"https://localhost:" + valid, "https://localhost:" + expired, "tls://127.0.0.1:" + valid,
		"db:5432\r", "unix:/nowhere/\x1b[2J", "\x1b[2J", "http://127.0.0.1:1/\u009b", "ip4:\x1b[2J 127.0.0.1"}
	for _, flags := range []string{"", "-json", "-count=2 -interval=0s", "-insecure", "-attempts=2"} {
		for _, arg := range args {
			_, out, errOut := inProcess(t, append(strings.Fields(flags), strings.Split(arg, " ")...)...)
			for _, control := range []string{"\x1b", "\r", "\x07", "\u009b"} {
				assert.NotContains(t, out+errOut, control, "%s %q", flags, arg)
			}
		}
	}
	// Go verifies by itself if it is given the authorities: then the names and the times come first.
	_, out, _ := inProcess(t, "-cacert="+cert, args[0])
	assert.Contains(t, out, `certificate is valid for evil\x1b]0;owned\a\r.example, not localhost`)
	_, out, _ = inProcess(t, "-cacert="+cert, args[1])
	assert.Contains(t, out, ": expired 1 minute ago\n")
	assert.Contains(t, out, "It expired 1 minute ago.")
}

// certificate returns a self-signed certificate.
func certificate(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A proxy that other programs would use is named, without its password.
func TestProxyIsNotUsed(t *testing.T) {
	const note = "HTTP_PROXY is set: many programs go through that proxy. probe connects directly."
	t.Setenv("HTTP_PROXY", "http://user:s3cret@proxy.invalid:3128")
	t.Setenv("NO_PROXY", "")
	for _, flags := range []string{"-timeout=20ms", "-timeout=20ms -count=2 -interval=0s", "-timeout=20ms -json"} {
		_, out, _ := probe(t, append(strings.Fields(flags), "http://192.0.2.1/")...)
		assert.Contains(t, out, note, flags)
		assert.NotContains(t, out, "s3cret")
		_, out, _ = probe(t, append(strings.Fields(flags), "192.0.2.1:80", "https://192.0.2.1/")...)
		assert.NotContains(t, out, note, flags)
	}
}

// SIGINT and SIGTERM end the looks, and the summary still comes.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent a signal")
	}
	address := "127.0.0.1:" + listen(t)
	for s, code := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		var out testutil.Output
		cmd := testutil.Program(t, "-count=0", "-interval=1h", address)
		cmd.Stdout = &out
		require.NoError(t, cmd.Start())
		defer cmd.Process.Kill()
		out.Await(t, "   1  "+address+"  connected ")
		require.NoError(t, cmd.Process.Signal(s))
		cmd.Wait()
		assert.Equal(t, code, cmd.ProcessState.ExitCode())
		assert.Contains(t, out.String(), "\n"+address+": 1 look, 1 connected (shortest ")
	}
}

// A look that is cut off is neither a success nor the target's failure.
func TestCanceled(t *testing.T) {
	silent := "http://127.0.0.1:" + listen(t)
	for cause, code := range map[error]int{cli.Signaled{Signal: os.Interrupt}: 130, errors.New("other"): exitFailed} {
		for _, flags := range []string{"", "-count=3", "-json"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			o, _ := parse(append(strings.Fields(flags), silent, silent), io.Discard, io.Discard)
			var out bytes.Buffer
			take := func(ctx context.Context, s *series) *look {
				cancel(cause)
				return o.look(ctx, s)
			}
			assert.Equal(t, code, takeLooks(ctx, o, take, newReporter(o, &out, false)), flags)
			switch flags {
			case "-count=3":
				assert.Contains(t, out.String(), silent+": 0 looks, one was interrupted\n")
				assert.Contains(t, out.String(), silent+": 0 looks\n", "another look began")
			case "-json":
				assert.Equal(t, "canceled", decode(t, out.String()).Class)
			default:
				assert.Regexp(t, `^tcp \S+\n\ninterrupted\n$`, out.String())
			}
		}
	}
}

// If nobody reads the report, that is no success.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + listen(t)
	for _, flags := range []string{"-json", "-attempts=1", "-count=0"} {
		assert.Equal(t, exitFailed, run(t.Context(), []string{flags, address}, &brokenWriter{}, io.Discard, false))
	}
	for _, flags := range []string{"-json", "-attempts=1"} { // the summary
		code := run(t.Context(), []string{flags, "-count=2", "-interval=0s", address}, &brokenWriter{2}, io.Discard, false)
		assert.Equal(t, exitFailed, code)
	}
}

// A brokenWriter fails after some writes.
type brokenWriter struct{ good int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.good--; w.good >= 0 {
		return len(p), nil
	}
	return 0, errors.New("gone")
}
