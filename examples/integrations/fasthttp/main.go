// Command fasthttp gets a URL with fasthttp through redial:
//
//	go run ./fasthttp http://127.0.0.1:8080/
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newClient returns a client that dials through d. Its field Dial, in place of DialTimeout, would not know when
// the request's time is over.
func newClient(d *redial.Dialer) *fasthttp.Client {
	return &fasthttp.Client{DialTimeout: dialTimeout(d)}
}

// newHostClient returns a client for several hosts, separated by commas. A failed dial leads to the next
// host, so each dial makes one attempt, and getAny retries.
func newHostClient(d *redial.Dialer, hosts string) *fasthttp.HostClient {
	once := *d
	once.MaxAttempts = 1
	once.Gate = nil // getAny waits at it
	return &fasthttp.HostClient{Addr: hosts, DialTimeout: dialTimeout(&once)}
}

// dialTimeout returns a function that dials until the request's timeout is over. For a request without a
// timeout, which is zero here, MaxElapsed holds.
func dialTimeout(d *redial.Dialer) fasthttp.DialFuncWithTimeout {
	return func(address string, timeout time.Duration) (net.Conn, error) {
		return d.DialTimeout("tcp", address, timeout)
	}
}

// getAny is get until a host of client serves it.
func getAny(ctx context.Context, d *redial.Dialer, client *fasthttp.HostClient, url string) ([]byte, error) {
	return redial.Do(ctx, d, "http", client.Addr, func(ctx context.Context) ([]byte, error) {
		return get(ctx, client, url)
	})
}

// A doer is a *fasthttp.Client or a *fasthttp.HostClient.
type doer interface {
	DoDeadline(*fasthttp.Request, *fasthttp.Response, time.Time) error
}

// get makes one request, which ends with the deadline of ctx. fasthttp cannot cancel a request.
func get(ctx context.Context, client doer, url string) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(url)
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(20 * time.Second)
	}
	if err := client.DoDeadline(req, resp, deadline); err != nil {
		return nil, err
	}
	return append([]byte(nil), resp.Body()...), nil
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, err := get(ctx, newClient(&redial.Dialer{Logger: log}), url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(body)
}
