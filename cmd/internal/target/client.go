package target

import (
	"bufio"
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
	"time"
)

// A Client asks a new connection for what its target needs: a TLS handshake, an
// answer to an HTTP request, both or nothing.
type Client struct {
	UserAgent string
	Insecure  bool   // trust every certificate
	CACert    string // path of the authorities to trust; empty: the system's

	roots *x509.CertPool
}

// AddFlags adds the flags for TLS.
func (c *Client) AddFlags(flags *flag.FlagSet) {
	flags.BoolVar(&c.Insecure, "insecure", false, "do not check the certificates of https and tls targets")
	flags.StringVar(&c.CACert, "cacert", "", "trust the authorities in this PEM `file`, instead of the system's")
}

// Load reads the file of -cacert.
func (c *Client) Load() error {
	if c.CACert == "" {
		return nil
	}
	pem, err := os.ReadFile(c.CACert)
	if err != nil {
		return fmt.Errorf("-cacert: %w", err)
	}
	c.roots = x509.NewCertPool()
	if !c.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("-cacert: no certificate in %s: it must be in PEM, with lines -----BEGIN CERTIFICATE-----", c.CACert)
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
	if t.URL == nil {
		return answer, nil
	}
	start := time.Now()
	status, err := c.get(ctx, conn, t.URL)
	answer.Status, answer.HTTP = status, time.Since(start)
	return answer, err
}

func (c *Client) config(t Target) *tls.Config {
	config := &tls.Config{ServerName: t.ServerName, RootCAs: c.roots, InsecureSkipVerify: c.Insecure}
	if t.URL != nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config
}

// get returns the status of the answer to a GET. It does not read the body, which
// may be endless.
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
const mostHeaders = 1 << 20

// overHTTP1 makes the request without an http.Transport, because a Transport hides
// the connection's own error if the server speaks first or hangs up.
func overHTTP1(conn net.Conn, request *http.Request) (status int, err error) {
	if err := request.Write(conn); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(io.LimitReader(conn, mostHeaders))
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return 0, err
		}
		if isFinal(response.StatusCode) {
			return response.StatusCode, nil
		}
	}
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
		Protocols: new(http.Protocols),
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
