package dialtest_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// A client is the program that the examples test. It needs a connection to start, and retries while
// the server refuses. It only keeps the connection open.
type client struct{ conn net.Conn }

// start returns a connected client. It waits for the duration every between two attempts.
func start(ctx context.Context, dial dialFunc, every time.Duration, logger *zap.Logger) (*client, error) {
	dialer := &redial.Dialer{
		DialFunc:   dial, // nil in production, which dials the real network
		MaxElapsed: 10 * time.Minute,
		Policy:     redial.Policy{redial.Refused: func() backoff.BackOff { return backoff.NewConstantBackOff(every) }},
		Logger:     logger,
	}
	conn, err := dialer.DialContext(ctx, "tcp", "db:5432")
	if err != nil {
		return nil, fmt.Errorf("no database: %w", err)
	}
	return &client{conn}, nil
}

func (c *client) stop() { c.conn.Close() }

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A client starts while the server refuses three times. The server then accepts and greets the
// client.
func Example() {
	script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK)
	client, err := start(context.Background(), script.DialContext, time.Millisecond, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	server, _ := script.Accept()
	fmt.Fprint(server, "hello")
	greeting := make([]byte, 5)
	client.conn.Read(greeting)
	fmt.Printf("%s after %d dials\n", greeting, len(script.Dials()))

	client.stop()
	fmt.Println("left open:", script.Open())
	// Output:
	// hello after 4 dials
	// left open: []
}

// A policy's own test: the dial waits for the name, and a reset ends it.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := redial.DefaultPolicy()
		policy[redial.NotFound] = redial.Exponential(time.Second, time.Minute)
		delete(policy, redial.Reset)

		script := dialtest.Script(dialtest.NXDomain.Times(2), dialtest.Reset)
		d := &redial.Dialer{DialFunc: script.DialContext, Policy: policy, Logger: zap.NewNop()}
		_, err := d.Dial("tcp", "db:5432")
		assert.Equal(t, redial.Reset, redial.Classify(err))
		assert.Len(t, script.Dials(), 3)
	})
}

// One address has its own script. All other addresses share the script given to Script.
func ExampleDialer_For() {
	script := dialtest.Script(dialtest.OK.Forever()).For("db:5432", dialtest.NXDomain)
	for _, address := range []string{"cache:6379", "db:5432"} {
		_, err := script.DialContext(context.Background(), "tcp", address)
		if err != nil {
			fmt.Println(address, "failed:", redial.Classify(err))
			continue
		}
		fmt.Println(address, "connected")
	}
	// Output:
	// cache:6379 connected
	// db:5432 failed: not_found
}

// In real time, a test can check only that a delay is long enough. In a testing/synctest bubble, as
// in the package's documentation, delays are exact and take no real time.
func ExampleDialer_Delays() {
	const every = 2 * time.Millisecond
	script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK)
	start(context.Background(), script.DialContext, every, nil)
	for _, delay := range script.Delays() {
		fmt.Println(delay >= every)
	}
	// Output:
	// true
	// true
	// true
}

// A test can check each field of the records that the program logs about a dial.
func ExampleScript_logs() {
	core, logs := observer.New(zap.DebugLevel)
	script := dialtest.Script(dialtest.Refuse, dialtest.NXDomain)
	start(context.Background(), script.DialContext, time.Millisecond, zap.New(core))
	for _, record := range logs.All() {
		fields := record.ContextMap()
		fmt.Println(record.Level, record.Message, fields["attempt"], fields["class"], fields["delay"])
	}
	// Output:
	// warn dial attempt failed, will retry 1 refused 1ms
	// error dial failed 2 not_found <nil>
}

// A test can check how a program handles Windows' errors, on any operating system.
func ExampleOutcome_Winsock() {
	script := dialtest.Script(dialtest.Refuse.Winsock(), dialtest.OK)
	_, err := start(context.Background(), script.DialContext, time.Millisecond, nil)
	fmt.Println(len(script.Dials()), err)
	// Output: 2 <nil>
}

// TestTriesEveryMinute is the test in the package's documentation.
func TestTriesEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK).FailTest(t)
		client, err := start(t.Context(), script.DialContext, time.Minute, nil)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute}, script.Delays())

		client.stop()
		assert.Empty(t, script.Open())
	})
}

// The times that the dialer sets and the times that the script sets are all exact.
func TestTimesInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout, dialtest.Timeout.After(time.Second), dialtest.OK.After(20*time.Millisecond))
		dialer := &redial.Dialer{
			Dialer:   net.Dialer{Timeout: 3 * time.Second},
			DialFunc: script.DialContext,
			Policy:   redial.Policy{redial.Timeout: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) }},
			// The default of 30 s is less than one delay.
			MaxElapsed: time.Hour,
		}
		begin := time.Now()
		_, err := dialer.Dial("tcp", "db:5432")
		require.NoError(t, err)

		dials := script.Dials()
		assert.Equal(t, begin.Add(3*time.Second), dials[0].Deadline)
		assert.Equal(t, begin.Add(3*time.Second), dials[0].End)
		assert.Equal(t, time.Second, dials[1].End.Sub(dials[1].Start))
		assert.Equal(t, 20*time.Millisecond, dials[2].End.Sub(dials[2].Start))
		assert.Equal(t, []time.Duration{time.Minute, time.Minute}, script.Delays())
	})
}

// A client that fails to start returns the reason and leaves no connection open.
func TestGivesUpInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		begin := time.Now()
		_, err := start(t.Context(), script.DialContext, time.Minute, nil)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, 9*time.Minute+30*time.Second, time.Since(begin), "a twentieth of MaxElapsed is kept for the last attempt")
		assert.Len(t, script.Dials(), 11)
		assert.Empty(t, script.Open())
	})
}
