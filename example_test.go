package redial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/explain"
)

// Use a Dialer wherever you used a net.Dialer.
func ExampleDialer() {
	logger := zap.Must(zap.NewProduction())
	ctx := context.Background()

	d := &redial.Dialer{
		Dialer: net.Dialer{Timeout: 3 * time.Second}, // bounds one attempt
		Logger: logger,                               // *zap.Logger; nil: zap.L(), silent by default
	}
	conn, err := d.DialContext(ctx, "tcp", "db.example:5432")
	if err != nil {
		log.Fatalf("%v\n%s", err, explain.Error(err)) // what happened, and what to check
	}
	defer conn.Close()

	client := &http.Client{Transport: redial.NewTransport(d, nil)} // no wait outlasts its request
	_ = client
}

// DialFunc replaces net.Dialer by a dialer of your own. Here it is a test's dialer,
// whose server refuses twice.
func ExampleDialer_dialFunc() {
	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
	d := &redial.Dialer{
		DialFunc: script.DialContext,
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Err != nil {
				fmt.Println("attempt", a.Number, "failed:", a.Class)
				return
			}
			fmt.Println("attempt", a.Number, "connected to", a.Remote)
		},
	}
	conn, err := d.Dial("tcp", "db.example:5432")
	fmt.Println(conn != nil, err)
	// Output:
	// attempt 1 failed: refused
	// attempt 2 failed: refused
	// attempt 3 connected to 192.0.2.1:5432
	// true <nil>
}

// A proxy accepts although it has no backend. Only an answer shows that there is one, so Verify
// reads: what it only writes, the kernel takes.
func ExampleDialer_verify() {
	script := dialtest.Script(dialtest.HangUp.Times(2), dialtest.OK)
	go func() {
		backend, _ := script.Accept()
		io.ReadFull(backend, make([]byte, len("PING\r\n")))
		io.WriteString(backend, "+PONG\r\n")
	}()
	d := &redial.Dialer{
		DialFunc: script.DialContext,
		Verify: func(ctx context.Context, conn net.Conn) error {
			if _, err := io.WriteString(conn, "PING\r\n"); err != nil { // fails when the attempt's time is up
				return err
			}
			answer := make([]byte, len("+PONG\r\n"))
			if _, err := io.ReadFull(conn, answer); err != nil { // io.EOF: no backend
				return err
			}
			if string(answer) != "+PONG\r\n" {
				return fmt.Errorf("not a pong: %q", answer)
			}
			return nil
		},
	}
	_, err := d.Dial("tcp", "redis.example:6379")
	fmt.Println(len(script.Dials()), "attempts:", err)
	// Output: 3 attempts: <nil>
}

// The error of a dial holds the last attempt's error and the reason for stopping.
func ExampleError() {
	d := &redial.Dialer{
		DialFunc:    dialtest.Script(dialtest.ServFail.Forever()).DialContext, // a name server that is down
		MaxAttempts: 3,
		Policy:      redial.Policy{redial.DNS: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }},
	}
	_, err := d.Dial("tcp", "db.example:5432")

	if e, ok := errors.AsType[*redial.Error](err); ok {
		fmt.Println(e.Class, "after", e.Attempts, "attempts:", e.Stop)
	} else if err != nil { // not of a dial, or of one that somebody else retries
		fmt.Println(redial.Classify(err), err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		fmt.Println("looking up", dns.Name)
	}
	fmt.Println(errors.Is(err, redial.ErrMaxAttempts))
	// Output:
	// dns after 3 attempts: MaxAttempts reached
	// looking up db.example
	// true
}

// DefaultPolicy returns a copy, which you can change.
func ExamplePolicy() {
	policy := redial.DefaultPolicy()
	policy[redial.NotFound] = redial.Exponential(time.Second, time.Minute) // the record may yet be created
	delete(policy, redial.Reset)
	d := &redial.Dialer{Policy: policy, MaxElapsed: 5 * time.Minute}
	_ = d
}

// Do retries more than a dial: here a handshake, with a server that accepts before it is
// ready.
func ExampleDo() {
	errStarting := errors.New("the database system is starting up")
	d := &redial.Dialer{
		Classifier: func(err error) redial.Class {
			if errors.Is(err, errStarting) {
				return redial.Refused // retry it as a server that is down
			}
			return redial.Unknown // Classify decides
		},
	}
	handshakes := 0
	session, err := redial.Do(context.Background(), d, "tcp", "db.example:5432", func(ctx context.Context) (string, error) {
		if handshakes++; handshakes < 3 {
			return "", errStarting
		}
		return "ready", nil
	})
	fmt.Println(session, "after", handshakes, "handshakes:", err)
	// Output: ready after 3 handshakes: <nil>
}

// A pool hides from its dialer that the caller has given up. Attach ties the dial to the
// caller's context all the same.
func ExampleAttach() {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext}
	acquire := func(ctx context.Context) error { // as a pool does
		_, err := d.DialContext(context.WithoutCancel(ctx), "tcp", "db.example:5432")
		return err
	}

	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err := acquire(redial.Attach(ctx))
	fmt.Println(redial.Classify(err), errors.Is(err, redial.ErrDeadline))
	// Output: refused true
}

// OnDial sees a dial begin and end. Its waits are in between.
func ExampleDialer_onDial() {
	d := &redial.Dialer{
		DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext,
		OnDial: func(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
			fmt.Println("begin", network, address)
			return ctx, func(r redial.Result) { fmt.Println("end after", r.Attempts, "attempts:", r.Err) }
		},
		OnAttempt: func(_ context.Context, a redial.Attempt) { fmt.Println("attempt", a.Number) },
	}
	d.Dial("tcp", "db.example:5432")
	// Output:
	// begin tcp db.example:5432
	// attempt 1
	// attempt 2
	// end after 2 attempts: <nil>
}

// The dials that share a Gate share what they learn. Each goroutine gets its connection, or a failure,
// but only few attempts reach the dead server.
func ExampleGate() {
	attempts := dialtest.Script(dialtest.Refuse.Forever())
	d := &redial.Dialer{
		DialFunc:   attempts.DialContext,
		Gate:       new(redial.Gate),
		MaxElapsed: 200 * time.Millisecond,
	}
	var dials sync.WaitGroup
	for range 1000 {
		dials.Go(func() { d.Dial("tcp", "db.example:5432") })
	}
	dials.Wait()
	fmt.Println("fewer than 50 attempts:", len(attempts.Dials()) < 50)
	// Output: fewer than 50 attempts: true
}

// Requests wait while their server restarts, and no dial outlives its request.
func ExampleTransport() {
	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK) // the server is down for two attempts
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	})}
	go server.Serve(script)
	defer server.Close()

	d := &redial.Dialer{DialFunc: script.DialContext}
	client := &http.Client{Transport: redial.NewTransport(d, nil), Timeout: 10 * time.Second}
	resp, err := client.Get("http://api.example/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s %v, after %d attempts\n", body, err, len(script.Dials()))
	// Output: hello <nil>, after 3 attempts
}

// Classify takes any error of a dial, whoever made the dial.
func ExampleClassify() {
	_, err := dialtest.Script(dialtest.Refuse).DialContext(context.Background(), "tcp", "db.example:5432")
	fmt.Println(redial.Classify(err))
	_, err = net.Dial("tcp", "127.0.0.1") // without a port
	fmt.Println(redial.Classify(err))
	fmt.Println(redial.Classify(fmt.Errorf("query: %w", io.ErrUnexpectedEOF)))
	// Output:
	// refused
	// invalid
	// reset
}

// Decide by the class, not by the text of an error.
func ExampleClass() {
	_, err := dialtest.Script(dialtest.NXDomain).DialContext(context.Background(), "tcp", "db.exmaple:5432")
	switch class := redial.Classify(err); class {
	case redial.NotFound, redial.Invalid:
		fmt.Println("check the address:", class)
	case redial.Refused, redial.Timeout:
		fmt.Println("the server may come back:", class)
	}
	// Output: check the address: not_found
}

// An Attempt is what OnAttempt gets: one for each attempt, also for the last.
func ExampleAttempt() {
	d := &redial.Dialer{
		DialFunc:    dialtest.Script(dialtest.Refuse, dialtest.Timeout.After(0)).DialContext,
		MaxAttempts: 2,
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Stop == 0 {
				fmt.Println(a.Number, a.Class, "will be retried")
			} else {
				fmt.Println(a.Number, a.Class, "is the last:", a.Stop)
			}
		},
	}
	d.Dial("tcp", "db.example:5432")
	// Output:
	// 1 refused will be retried
	// 2 timeout is the last: MaxAttempts reached
}

// An Attempt at a name has the result of each address.
func ExampleAddrResult() {
	d := &redial.Dialer{OnAttempt: func(_ context.Context, a redial.Attempt) {
		for _, addr := range a.Addrs {
			if addr.Err != nil {
				fmt.Println(addr.Addr, addr.Class, addr.Duration) // [::1]:5432 refused 120µs
			}
		}
	}}
	_ = d
}

func ExampleProxyError() {
	err := &redial.ProxyError{Proxy: "192.0.2.1:3128", Target: "api.example:443", StatusCode: 503}
	fmt.Println(err)
	// Output: proxy 192.0.2.1:3128 answered CONNECT api.example:443 with 503 Service Unavailable
}
