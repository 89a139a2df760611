// Command elasticsearch connects go-elasticsearch through redial, and prints what the cluster says of
// itself. It goes on to the next host if one is down, and waits if all are:
//
//	go run ./elasticsearch http://127.0.0.1:9200 http://127.0.0.1:9201
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v9"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newDialer returns the Dialer for a client. Its Timeout is how long a silent host keeps a request from the next
// one.
func newDialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, Logger: log}
}

// newClient returns a client that dials through d. A nil base means a clone of http.DefaultTransport. Certificates
// belong into base, because options such as WithCACert work on the client's own transport only. In place of
// WithDiscoverNodesOnStart, which would use the client before newClient has set it up, call DiscoverNodes.
func newClient(d *redial.Dialer, base *http.Transport, options ...elasticsearch.Option) (*elasticsearch.Client, error) {
	once, again := *d, *d
	once.MaxAttempts = 1 // the client goes on to the next host
	once.Gate = nil      // the requests wait at it
	again.Logger = zap.NewNop()
	again.OnAttempt, again.OnDial = nil, nil // once has them
	r := &retries{dialer: &again}
	client, err := elasticsearch.New(append(options, elasticsearch.WithTransportOptions(
		elastictransport.WithTransport(redial.NewTransport(&once, base)),
		elastictransport.WithRetryOnError(r.hasNextHost),
	))...)
	if err != nil {
		return nil, err
	}
	r.Client = client.Transport.(*elastictransport.Client)
	r.hosts = fmt.Sprint(r.URLs())
	client.Transport = r
	return client, nil
}

// retries repeats requests while no host accepts a connection.
type retries struct {
	*elastictransport.Client
	dialer *redial.Dialer
	hosts  string
}

// hasNextHost keeps the client from trying the same host again at once: by default, it does so three times.
func (r *retries) hasNextHost(req *http.Request, err error) bool {
	isOther := func(live *url.URL) bool { return live.Host != req.URL.Host }
	return !isOfDial(err) || slices.ContainsFunc(r.URLs(), isOther)
}

// Perform makes a request for the client, to one host after the other, until it has a connection.
func (r *retries) Perform(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	perform := func() (*http.Response, error) {
		again := req.Clone(req.Context())
		if body != nil {
			again.Body, again.GetBody = io.NopCloser(bytes.NewReader(body)), nil
		}
		return r.Client.Perform(again)
	}
	resp, err := perform() // not within Do: while all is well, requests need not wait at a Gate
	if !isOfDial(err) {
		return resp, err
	}
	isFirst := true
	_, failed := redial.Do(req.Context(), r.dialer, "http", r.hosts, func(context.Context) (struct{}, error) {
		if !isFirst {
			resp, err = perform() // with the request's own context: the attempt's would cut off the response
		}
		isFirst = false
		if isOfDial(err) {
			return struct{}{}, err
		}
		return struct{}{}, nil
	})
	if failed != nil {
		return nil, failed
	}
	return resp, err
}

func isOfDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client, err := newClient(newDialer(log), nil, elasticsearch.WithAddresses(os.Args[1:]...))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := client.Info(client.Info.WithContext(ctx))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	fmt.Println(resp)
}
