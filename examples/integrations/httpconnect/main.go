// Command httpconnect gets a URL through an HTTP proxy and redial:
//
//	go run ./httpconnect http://127.0.0.1:3128 https://example.org/
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newClient returns a client that reaches the proxy through d. The dial to the proxy is retried, but
// not a proxy's answer that it cannot reach the target, a *redial.ProxyError.
func newClient(d *redial.Dialer, proxy *url.URL, config *tls.Config) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = http.ProxyURL(proxy)
	base.TLSClientConfig = config.Clone() // http.Transport changes it
	return &http.Client{Transport: redial.NewTransport(d, base), Timeout: 20 * time.Second}
}

// throughProxy returns a Dialer that acts as d does, through the HTTP proxy at address. It is for
// any client, and retries the proxy's answer too, because CONNECT is part of each attempt.
func throughProxy(d *redial.Dialer, address string) *redial.Dialer {
	with := *d
	with.DialFunc = func(ctx context.Context, network, target string) (net.Conn, error) {
		toProxy := redial.Dialer{Dialer: d.Dialer, Logger: d.Logger} // makes one attempt in each of the other's
		toProxy.Verify = func(_ context.Context, conn net.Conn) error { return connect(conn, address, target) }
		return toProxy.DialContext(ctx, network, address)
	}
	return &with
}

// newTunnelClient returns a client whose connections are tunnels that throughProxy makes.
func newTunnelClient(d *redial.Dialer, proxyAddress string, config *tls.Config) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.Proxy = nil
	base.TLSClientConfig = config.Clone()
	return &http.Client{Transport: redial.NewTransport(throughProxy(d, proxyAddress), base), Timeout: 20 * time.Second}
}

// connect asks the proxy for a tunnel to the target.
func connect(conn net.Conn, proxy, target string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if err := req.Write(conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(byByte{conn}), req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &redial.ProxyError{Proxy: proxy, Target: target, StatusCode: resp.StatusCode}
	}
	return nil
}

// byByte reads one byte at a time, so that nothing behind the answer is lost in a buffer.
type byByte struct{ io.Reader }

func (r byByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:1]) }

// get gets the URL.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: httpconnect PROXY URL")
		os.Exit(2)
	}
	proxy, err := url.Parse(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Do retries the proxy's answer, as throughProxy does.
	d := &redial.Dialer{Logger: log}
	client := newClient(d, proxy, nil)
	body, err := redial.Do(ctx, d, "http", os.Args[2], func(ctx context.Context) ([]byte, error) {
		return get(ctx, client, os.Args[2])
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(body)
}
