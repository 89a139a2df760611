// Package docs_test has the programs whose lines the pages in this folder show, and the tests that compare the pages
// with them.
package docs_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

var ctx = context.Background()

// quickly is a policy for examples, which should not take long.
var quickly = redial.Policy{
	redial.Refused: redial.Exponential(time.Millisecond, time.Millisecond),
	redial.Reset:   redial.Exponential(time.Millisecond, time.Millisecond),
}

// errors.md

// replyError is the failure of an imaginary proxy's protocol.
type replyError int

func (e replyError) Error() string { return fmt.Sprintf("reply %d", int(e)) }

func Example_classifier() {
	script := dialtest.Script(dialtest.Fail(replyError(5)).Times(2), dialtest.OK)
	d := &redial.Dialer{
		DialFunc: script.DialContext,
		Policy:   quickly,
		Classifier: func(err error) redial.Class {
			if reply, ok := errors.AsType[replyError](err); ok && reply == 5 {
				return redial.Refused // the proxy's target refused
			}
			return redial.Unknown // Classify decides
		},
	}
	_, err := d.DialContext(ctx, "tcp", "db.example:5432")
	fmt.Println(len(script.Dials()), "attempts:", err)
	// Output: 3 attempts: <nil>
}

// retrying.md

// connect dials and waits for the server's greeting. A server that is starting up or silent is tried again.
func connect(ctx context.Context, d *redial.Dialer, address string) (net.Conn, error) {
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (net.Conn, error) {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // ends reads and writes with ctx
		err = handshake(conn)
		if !stop() && err == nil { // ctx has ended, so conn is of no use
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	})
}

var errStarting = errors.New("the server is starting up")

// handshake is the protocol of an imaginary server, which says "+" or "-" when it has accepted.
func handshake(conn net.Conn) error {
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[0] == '-' {
		return errStarting
	}
	return nil
}

func startingIsRefused(err error) redial.Class {
	if errors.Is(err, errStarting) {
		return redial.Refused
	}
	return redial.Unknown // Classify decides
}

// greet listens, and sends one greeting on each connection: none if it is empty. The last greeting repeats.
func greet(t *testing.T, greetings ...string) (address string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, greetings[min(i, len(greetings)-1)])
		}
	}()
	return ln.Addr().String()
}

// Do retries a server that is silent or starting up. The connection that it returns has no deadline left.
func TestConnect(t *testing.T) {
	t.Parallel()
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 300 * time.Millisecond}, Classifier: startingIsRefused}
	var classes []redial.Class
	d.OnAttempt = func(_ context.Context, a redial.Attempt) {
		if a.Err != nil {
			classes = append(classes, a.Class)
		}
	}
	conn, err := connect(t.Context(), d, greet(t, "", "-", "++"))
	require.NoError(t, err)
	defer conn.Close()
	// The dial inside calls OnAttempt too, but it does not fail.
	assert.Equal(t, []redial.Class{redial.Timeout, redial.Refused}, classes)
	_, err = conn.Read(make([]byte, 1))
	assert.NoError(t, err)
}

// A server that stays silent does not hold up Do.
func TestConnectSilent(t *testing.T) {
	t.Parallel()
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 50 * time.Millisecond}, Classifier: startingIsRefused, MaxAttempts: 3}
	begin := time.Now()
	_, err := connect(t.Context(), d, greet(t, ""))
	e, ok := errors.AsType[*redial.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, redial.Timeout, e.Class)
	assert.Equal(t, 3, e.Attempts)
	assert.Less(t, time.Since(begin), 20*time.Second)
}

// gate is one for the program. It tells targets apart by network and address.
var gate = new(redial.Gate)

func Example_gate() {
	script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever())
	d := &redial.Dialer{Gate: gate}
	d.DialFunc = script.DialContext // the example's server

	var dials sync.WaitGroup
	for range 100 {
		dials.Go(func() { d.DialContext(ctx, "tcp", "db.example:5432") })
	}
	dials.Wait()
	fmt.Println(len(script.Dials()) < 2*100)
	// Output: true
}

// http.md

func Example_httpClient() {
	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
	go http.Serve(script, http.NotFoundHandler())
	defer script.Close()

	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}} // for one attempt
	client := &http.Client{Transport: redial.NewTransport(d, nil), Timeout: 20 * time.Second}
	d.DialFunc = script.DialContext // the example's server
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://api.example/")
	fmt.Println(resp.Status, err)
	resp.Body.Close()
	// Output: 404 Not Found <nil>
}

func Example_http2Pings() {
	d := &redial.Dialer{}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	client := &http.Client{Transport: redial.NewTransport(d, base)}
	defer client.CloseIdleConnections()
	// Output:
}

func Example_transportItself() {
	script := dialtest.Script(dialtest.Refuse.Forever())
	d := &redial.Dialer{DialFunc: script.DialContext}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = d.DialContext
	client := &http.Client{Transport: base} // for a client that wants an *http.Transport itself
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(redial.Attach(ctx), http.MethodGet, "http://vault.example:8200/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Do(req)
	fmt.Println(redial.Classify(err), errors.Is(err, redial.ErrDeadline))
	// Output: refused true
}

func Example_dialContextOfBase() {
	tunnel := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
	go http.Serve(tunnel, http.NotFoundHandler())
	defer tunnel.Close()
	base := &http.Transport{DialContext: tunnel.DialContext}

	d := &redial.Dialer{DialFunc: base.DialContext} // otherwise it would be lost
	client := &http.Client{Transport: redial.NewTransport(d, base)}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://api.example/")
	fmt.Println(resp.Status, err)
	resp.Body.Close()
	// Output: 404 Not Found <nil>
}

// observability.md

var update = flag.Bool("update", false, "write the golden file anew")

// The record of an attempt as zap.NewProduction's encoder writes it, in the time of a bubble.
func TestProductionRecord(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the texts of errnos are the system's")
	}
	synctest.Test(t, func(t *testing.T) {
		var records bytes.Buffer
		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&records), zap.InfoLevel))
		d := &redial.Dialer{
			DialFunc: dialtest.Script(dialtest.Refuse.After(128*time.Microsecond), dialtest.OK).DialContext,
			Policy:   constant(100 * time.Millisecond),
			Logger:   logger,
		}
		conn, err := d.DialContext(t.Context(), "tcp", "db.example:5432")
		require.NoError(t, err)
		conn.Close()
		first, _, _ := strings.Cut(records.String(), "\n")
		const golden = "testdata/production.golden"
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(first+"\n"), 0o644))
		}
		text, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(text), first+"\n")
	})
}

// What zap.NewDevelopment adds to the records of a dial is of no use, and can be left out.
func TestLogger(t *testing.T) {
	logger, err := zap.NewDevelopment(zap.AddStacktrace(zap.DPanicLevel), zap.WithCaller(false))
	require.NoError(t, err)
	plain, err := zap.NewDevelopment()
	require.NoError(t, err)
	for i, logger := range []*zap.Logger{logger, plain} {
		core, logs := observer.New(zap.DebugLevel)
		logger = logger.WithOptions(zap.WrapCore(func(zapcore.Core) zapcore.Core { return core }))
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext, Logger: logger}
		d.DialContext(ctx, "tcp", "db.exmaple:5432")
		record := logs.All()[0]
		assert.Equal(t, i == 1, record.Stack != "")
		assert.Equal(t, i == 1, record.Caller.Defined)
	}
}

// migrating.md

func dialInLoop(_ context.Context, address string) (conn net.Conn, err error) {
	for range 5 {
		conn, err = net.DialTimeout("tcp", address, 3*time.Second)
		if err == nil {
			return conn, nil
		}
		time.Sleep(2 * time.Second)
	}
	return nil, err
}

func dialInsteadOfBackoff(ctx context.Context, address string) (net.Conn, error) {
	schedule := func() backoff.BackOff { return backoff.NewExponentialBackOff() } // yours; one for each dial
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: 3 * time.Second},
		Policy:     redial.Policy{redial.Refused: schedule, redial.Timeout: schedule},
		MaxElapsed: 15 * time.Minute, // as backoff's MaxElapsedTime
	}
	return d.DialContext(ctx, "tcp", address)
}

func Example_migrating() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	for _, dial := range []func(context.Context, string) (net.Conn, error){
		dialInLoop, dialInsteadOfBackoff,
	} {
		conn, err := dial(ctx, ln.Addr().String())
		if err != nil {
			fmt.Println(err)
			continue
		}
		conn.Close()
	}
	// Output:
}
