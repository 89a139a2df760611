package target

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A Client asks a new connection for what its target needs: a TLS handshake, an
// answer to an HTTP request, both, or only that the connection stays open.
type Client struct {
	UserAgent string
	Insecure  bool          // trust every certificate
	CACert    string        // path of the authorities to trust; empty: the system's
	Settle    time.Duration // how long a connection must stay open if nothing is asked for

	roots *x509.CertPool
}

// AddFlags adds the flags for all that Ask does.
func (c *Client) AddFlags(flags *flag.FlagSet) {
	cli.Duration(flags, &c.Settle, "settle", 100*time.Millisecond, "a host:port or unix target must keep the connection open for this `duration`: forwarders accept for servers that are down, and close")
	flags.BoolVar(&c.Insecure, "insecure", false, "do not check the certificates of https and tls targets")
	flags.StringVar(&c.CACert, "cacert", "", "trust the authorities in this PEM `file`, instead of the system's")
}

// Load checks the flags, and reads the file of -cacert.
func (c *Client) Load() error {
	if c.Settle < 0 {
		return errors.New("-settle must not be negative")
	}
	if c.CACert == "" {
		return nil
	}
	pem, err := os.ReadFile(c.CACert)
	if err != nil {
		return errors.New("-cacert: " + cli.Foreign(err.Error()))
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("-cacert: no certificate in %s: it must be in PEM, with lines -----BEGIN CERTIFICATE-----", cli.Foreign(c.CACert))
	}
	return nil
}

// An Answer is what a connection has shown. The fields of a step that was not tried
// are zero.
type Answer struct {
	TLS       *tls.ConnectionState // nil: no handshake, or one that failed
	Handshake time.Duration
	Status    int // of the HTTP answer; 0: there was none
	HTTP      time.Duration
}

// Ask asks conn for what the target needs. With an error, it also returns the answer
// so far. The caller closes conn.
func (c *Client) Ask(ctx context.Context, conn net.Conn, t Target) (Answer, error) {
	var answer Answer
	if t.ServerName != "" {
		start := time.Now()
		secure := tls.Client(conn, c.config(t))
		err := secure.HandshakeContext(ctx)
		answer.Handshake = time.Since(start)
		if err != nil {
			return answer, err
		}
		state := secure.ConnectionState()
		answer.TLS, conn = &state, secure
	}
	if t.AsksNothing() {
		return answer, c.settle(ctx, conn)
	}
	if t.URL == nil {
		return answer, nil
	}
	start := time.Now()
	status, err := c.get(ctx, conn, t.URL)
	answer.Status, answer.HTTP = status, time.Since(start)
	return answer, err
}

// settle waits until the connection has been open for c.Settle, or the server has sent
// something. It does not wait longer than half of the time that ctx leaves.
func (c *Client) settle(ctx context.Context, conn net.Conn) error {
	if c.Settle <= 0 {
		return nil
	}
	start, wait := time.Now(), c.Settle
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2)
	}
	conn.SetReadDeadline(start.Add(wait))
	defer conn.SetReadDeadline(time.Time{})
	_, err := conn.Read(make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return &ClosedError{After: time.Since(start), Err: err}
}

// A ClosedError is the failure of a server that accepted the connection, and closed it
// before it was asked for anything.
type ClosedError struct {
	After time.Duration
	Err   error // io.EOF, or a reset
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("connected, closed by the peer after %v", plain.Duration(e.After))
}

func (e *ClosedError) Unwrap() error { return e.Err }

func (c *Client) config(t Target) *tls.Config {
	config := &tls.Config{ServerName: t.ServerName, RootCAs: c.roots, InsecureSkipVerify: c.Insecure}
	if t.URL != nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config
}

// get returns the status of the answer to a GET.
func (c *Client) get(ctx context.Context, conn net.Conn, u *url.URL) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, err
	}
	request.Close = true
	request.Header.Set("User-Agent", c.UserAgent)
	if u.User != nil {
		password, _ := u.User.Password()
		request.SetBasicAuth(u.User.Username(), password)
	}
	if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
		return overHTTP2(secure, request)
	}
	return overHTTP1(conn, request)
}

// mostHeaders is how many bytes of headers an answer may have.
const mostHeaders = 1 << 16

// overHTTP1 makes the request without an http.Transport, because a Transport hides
// the connection's own error if the server speaks first or hangs up.
func overHTTP1(conn net.Conn, request *http.Request) (status int, err error) {
	if err := request.Write(conn); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(io.LimitReader(conn, mostHeaders))
	if first, _ := reader.Peek(2); string(first) == tlsAlert {
		return 0, new(TLSPortError)
	}
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return 0, err
		}
		if isFinal(response.StatusCode) {
			if wantsTLS(conn, response) {
				err = &TLSPortError{response.StatusCode}
			}
			return response.StatusCode, err
		}
	}
}

// A TLSPortError is the failure of a plain HTTP request to a port that takes only HTTPS.
type TLSPortError struct {
	Status int // of the answer; 0: it was a TLS alert
}

func (e *TLSPortError) Error() string {
	if e.Status == 0 {
		return "plain HTTP to a TLS port: it answered with a TLS alert"
	}
	return fmt.Sprintf("plain HTTP to an HTTPS port: it answered %d", e.Status)
}

// tlsAlert is how an alert of TLS begins (RFC 8446, section 5.1).
const tlsAlert = "\x15\x03"

// wantsTLS reports whether the answer to a plain request says that the port takes only HTTPS. Nothing
// but the text of the answer says so: those of Go, nginx and Apache are known.
func wantsTLS(conn net.Conn, response *http.Response) bool {
	if _, ok := conn.(*tls.Conn); ok || response.StatusCode != http.StatusBadRequest {
		return false
	}
	conn.SetReadDeadline(time.Now().Add(time.Second)) // a body may be endless
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	return slices.ContainsFunc([]string{
		"Client sent an HTTP request to an HTTPS server",
		"plain HTTP request was sent to HTTPS port",
		"speaking plain HTTP to an SSL-enabled server port",
	}, func(text string) bool { return bytes.Contains(body, []byte(text)) })
}

// isFinal reports whether no other answer follows the one with this status. 101
// ends HTTP on the connection.
func isFinal(status int) bool {
	return status >= 200 || status == http.StatusSwitchingProtocols
}

// overHTTP2 makes the request by an http.Transport whose only connection is conn.
func overHTTP2(conn *tls.Conn, request *http.Request) (status int, err error) {
	only := make(chan net.Conn, 1)
	only <- conn
	transport := &http.Transport{
		Protocols:              new(http.Protocols),
		MaxResponseHeaderBytes: mostHeaders,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-only:
				return conn, nil
			default:
				return nil, errors.New("the server closed the connection before its answer")
			}
		},
	}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	return response.StatusCode, nil
}
