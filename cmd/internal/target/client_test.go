package target

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// ask connects to the target and asks for what it needs.
func ask(t *testing.T, c *Client, arg string) (Answer, error) {
	t.Helper()
	target, err := Parse(arg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, target.Network, target.Address)
	require.NoError(t, err)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return c.Ask(ctx, conn, target)
}

// handler answers with the protocol, as a status: 201 for HTTP/1.1, 202 for HTTP/2.
func handler(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	switch {
	case ok && user+":"+password != "user:s3cret":
		w.WriteHeader(http.StatusUnauthorized)
	case r.UserAgent() != "test" || r.Method != http.MethodGet:
		w.WriteHeader(http.StatusBadRequest)
	case r.URL.Path == "/early":
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusOK + r.ProtoMajor)
	}
}

func serve(t *testing.T, http2 bool) (server *httptest.Server, cert string) {
	server = httptest.NewUnstartedServer(http.HandlerFunc(handler))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	cert = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(cert, block, 0o600))
	return server, cert
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for arg, want := range map[string]int{
		"http://" + host:                    201,
		"http://" + host + "/early":         503, // 103 is not the answer
		"http://user:s3cret@" + host + "/x": 201,
		"http://user:wrong@" + host:         401,
		"tcp://" + host:                     0,
	} {
		answer, err := ask(t, &Client{UserAgent: "test"}, arg)
		assert.NoError(t, err, arg)
		assert.Equal(t, want, answer.Status, arg)
		if want > 0 {
			testutil.AssertMeasured(t, answer.HTTP)
		} else {
			assert.Zero(t, answer.HTTP)
		}
		assert.Nil(t, answer.TLS)
	}
}

func TestHTTPOverUnix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("http+unix has no form for a path with a drive letter after a user")
	}
	path := testutil.SocketPath(t)
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(handler)}
	defer server.Close()
	go server.Serve(listener)
	answer, err := ask(t, &Client{UserAgent: "test"}, "http+unix://"+path+":/early")
	assert.NoError(t, err)
	assert.Equal(t, 503, answer.Status)
	answer, err = ask(t, &Client{UserAgent: "test"}, "http+unix://user:wrong@"+path)
	assert.NoError(t, err)
	assert.Equal(t, 401, answer.Status)
}

func TestTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server, cert := serve(t, http2)
		host := strings.TrimPrefix(server.URL, "https://")
		status, protocol := 201, "http/1.1"
		if http2 {
			status, protocol = 202, "h2"
		}
		for name, c := range map[string]*Client{"insecure": {Insecure: true}, "cacert": {CACert: cert}} {
			c.UserAgent = "test"
			require.NoError(t, c.Load(), name)
			answer, err := ask(t, c, "https://"+host)
			assert.NoError(t, err, name)
			assert.Equal(t, status, answer.Status, name)
			assert.Equal(t, protocol, answer.TLS.NegotiatedProtocol)
			testutil.AssertMeasured(t, answer.Handshake)

			answer, err = ask(t, c, "tls://"+host)
			assert.NoError(t, err, name)
			assert.NotNil(t, answer.TLS, name)
			assert.Zero(t, answer.Status)
			answer, err = ask(t, c, "https://user:wrong@"+host)
			assert.NoError(t, err, name)
			assert.Equal(t, 401, answer.Status, name)
		}
		answer, err := ask(t, new(Client), "tls://"+host)
		assert.ErrorContains(t, err, "certificate")
		assert.Nil(t, answer.TLS)
		testutil.AssertMeasured(t, answer.Handshake)
	}
}

// serveText accepts connections, and answers a line by the text.
func serveText(t *testing.T, text string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			bufio.NewReader(conn).ReadString('\n')
			io.WriteString(conn, text)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestNoHTTP(t *testing.T) {
	for text, want := range map[string]string{
		"220 mail.example\r\n":          `malformed HTTP status code "mail.example"`,
		"":                              "EOF",
		"HTTP/1.1 100 Continue\r\n\r\n": "EOF",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 1100) + "\r\n": "EOF",
	} {
		answer, err := ask(t, &Client{}, "http://"+serveText(t, text))
		assert.ErrorContains(t, err, want, "%.30q", text)
		assert.Zero(t, answer.Status)
	}
	answer, err := ask(t, &Client{}, "http://"+serveText(t, "HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	assert.NoError(t, err)
	assert.Equal(t, 101, answer.Status)
}

// serveConns returns the address of a server that does as it is told with each connection.
func serveConns(t *testing.T, serve func(*net.TCPConn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn.(*net.TCPConn))
		}
	}()
	return listener.Addr().String()
}

// A forwarder accepts for a server that is down, and closes at once. A server that speaks, or keeps
// silent, is there.
func TestSettle(t *testing.T) {
	closes := serveConns(t, func(conn *net.TCPConn) { conn.Close() })
	speaks := serveConns(t, func(conn *net.TCPConn) { io.WriteString(conn, "220 mail.example\r\n"); conn.Close() })
	silent := serveConns(t, func(conn *net.TCPConn) { io.Copy(io.Discard, conn); conn.Close() })

	patient := &Client{Settle: time.Hour} // the silent server's client would wait so long
	_, atEnd := ask(t, patient, closes)
	for _, err := range []error{atEnd, askResetting(t, patient)} {
		closed, ok := errors.AsType[*ClosedError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, redial.Reset, redial.Classify(err))
		assert.Regexp(t, `^connected, closed by the peer after \S+s$`, closed.Error())
		a := Advise(Target{}, &redial.Error{Network: "tcp", Address: closes, Attempts: 1, Err: err, Class: redial.Reset})
		assert.Contains(t, a.Observed, "accepted the connection", a.Code)
	}
	_, err := ask(t, &Client{Settle: 0}, closes)
	assert.NoError(t, err, "-settle 0 switches the check off")
	_, err = ask(t, patient, speaks)
	assert.NoError(t, err)
	_, err = ask(t, &Client{Settle: time.Millisecond}, silent)
	assert.NoError(t, err)
}

// askResetting returns what comes of a connection that the server resets once the dial has
// succeeded: before, the reset could fail the dial.
func askResetting(t *testing.T, c *Client) error {
	conns := make(chan *net.TCPConn, 1)
	conn, err := net.Dial("tcp", serveConns(t, func(conn *net.TCPConn) { conns <- conn }))
	require.NoError(t, err)
	defer conn.Close()
	server := <-conns
	server.SetLinger(0)
	server.Close()
	_, err = c.Ask(t.Context(), conn, Target{Network: "tcp"})
	return err
}

// A short attempt does not end while the connection has to stay open.
func TestSettleLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, other := net.Pipe()
		defer conn.Close()
		defer other.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 80*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := (&Client{Settle: 100 * time.Millisecond}).Ask(ctx, conn, Target{Network: "tcp"})
		assert.NoError(t, err)
		assert.Equal(t, 40*time.Millisecond, time.Since(start))

		canceled, cancel := context.WithCancel(t.Context())
		context.AfterFunc(canceled, func() { conn.SetReadDeadline(time.Now()) })
		cancel()
		_, err = (&Client{Settle: time.Hour}).Ask(canceled, conn, Target{Network: "tcp"})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// A port that takes only HTTPS says so in its own way.
func TestPlainHTTPToHTTPS(t *testing.T) {
	server, _ := serve(t, false)
	nginx := "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n"
	apache := "HTTP/1.1 400 Bad Request\r\n\r\n<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n"
	for address, want := range map[string]TLSPortError{
		strings.TrimPrefix(server.URL, "https://"):           {400},
		serveText(t, nginx):                                  {400},
		serveText(t, apache):                                 {400},
		serveText(t, "\x15\x03\x03\x00\x02\x02\x46"):         {0},
		serveText(t, nginx+strings.Repeat("x", mostHeaders)): {400},
	} {
		answer, err := ask(t, &Client{}, "http://u:s3cret@"+address+"/health")
		e, ok := errors.AsType[*TLSPortError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, want, *e)
		assert.Equal(t, want.Status, answer.Status)
		target, _ := Parse("http://u:s3cret@" + address + "/health")
		a := Advise(target, err)
		assert.Equal(t, "unknown.https-port", a.Code)
		assert.Equal(t, address+" takes only HTTPS on that port.\n  - Is HTTPS meant? Give https://u:xxxxx@"+address+"/health", a.String())
		target, _ = Parse("http+unix:/x")
		assert.Empty(t, Advise(target, err).Checks)
	}
	for _, text := range []string{"HTTP/1.1 400 Bad Request\r\n\r\nno such parameter", strings.Replace(nginx, "400", "404", 1)} {
		answer, err := ask(t, &Client{}, "http://"+serveText(t, text))
		assert.NoError(t, err)
		assert.NotZero(t, answer.Status)
	}
}

// No more than so much of an answer is read.
func TestEndlessAnswers(t *testing.T) {
	for begin, want := range map[string]string{
		"HTTP/1.1 200 ":    "EOF",
		"HTTP/1.1 xx\x1b[": "malformed",
	} {
		address := serveConns(t, func(conn *net.TCPConn) {
			defer conn.Close()
			io.WriteString(conn, begin)
			for line := strings.Repeat("y\x1b[31m", 1000); ; {
				if _, err := io.WriteString(conn, line); err != nil {
					return
				}
			}
		})
		_, err := ask(t, &Client{}, "http://"+address)
		require.Error(t, err, want)
		shown := Message(err)
		assert.Less(t, len(shown), 2000)
		assert.NotContains(t, shown, "\x1b")
	}
}

// An HTTP/2 server that hangs up fails the request.
func TestHTTP2Fails(t *testing.T) {
	server, _ := serve(t, true)
	server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := ask(t, &Client{Insecure: true}, server.URL)
	assert.Error(t, err)
}

func TestLoad(t *testing.T) {
	c := &Client{CACert: filepath.Join(t.TempDir(), "none")}
	assert.ErrorContains(t, c.Load(), "-cacert: open ")
	require.NoError(t, os.WriteFile(c.CACert, []byte("no PEM"), 0o600))
	assert.ErrorContains(t, c.Load(), "it must be in PEM")
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	c = new(Client)
	c.AddFlags(flags)
	assert.NoError(t, flags.Parse([]string{"-insecure", "-cacert", "x"}))
	assert.Equal(t, Client{Insecure: true, CACert: "x", Settle: 100 * time.Millisecond}, *c)
	assert.ErrorContains(t, (&Client{Settle: -1}).Load(), "-settle must not be negative")
}
