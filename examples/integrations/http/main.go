// Command http gets a URL through redial, over HTTP/1.1 or HTTP/2 as the server offers:
//
//	go run ./http https://example.org/
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newClient returns a client that dials through d. It uses HTTP/2 where the server offers it.
func newClient(d *redial.Dialer, config *tls.Config) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = config.Clone() // http.Transport changes it
	return &http.Client{
		Transport: redial.NewTransport(d, base),
		Timeout:   20 * time.Second, // bounds the dial too, with its retries
	}
}

// notReady is the status of a server, or of a proxy before it, that does not serve yet.
type notReady int

func (s notReady) Error() string { return fmt.Sprintf("status %d %s", int(s), http.StatusText(int(s))) }

// classify is the Classifier of a Dialer that retries while the server is not ready. To its client
// such a server is as good as one that does not accept.
func classify(err error) redial.Class {
	if _, ok := errors.AsType[notReady](err); ok {
		return redial.Refused
	}
	return redial.Unknown
}

// getReady gets the URL as soon as the server is ready. It is the first request of a program
// that starts together with its server. It reads the body within the attempt, because the end of
// the attempt's ctx ends the body.
func getReady(ctx context.Context, d *redial.Dialer, client *http.Client, url string) ([]byte, error) {
	return redial.Do(ctx, d, "http", url, func(ctx context.Context) ([]byte, error) {
		return get(ctx, client, url)
	})
}

// get makes one request. The client's dial retries, unless it is within an attempt of Do.
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
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, notReady(resp.StatusCode)
	}
	return io.ReadAll(resp.Body)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	url := "http://127.0.0.1:8080/"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	d := &redial.Dialer{Logger: log, Classifier: classify}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, err := getReady(ctx, d, newClient(d, nil), url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(body)
}
