package docs_test

// The recipes, of recipes.md and other pages, and a test of each.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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

const dbAddress = "db.example:5432"

// Fail fast at the start, ride out outages later.
func Example_failFast() {
	d := &redial.Dialer{MaxElapsed: 5 * time.Minute} // rides out what lasts less
	d.DialFunc = dialtest.Script(dialtest.NXDomain).DialContext

	start, cancel := context.WithTimeout(ctx, 3*time.Second) // only the first dial
	defer cancel()
	conn, err := d.DialContext(start, "tcp", dbAddress)
	if err != nil {
		fmt.Println("not started:", redial.Classify(err))
		return
	}
	defer conn.Close()
	// Output: not started: not_found
}

func TestFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &redial.Dialer{MaxElapsed: 5 * time.Minute, DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext}
		for _, limit := range []time.Duration{3 * time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			start := time.Now()
			_, err := d.DialContext(ctx, "tcp", dbAddress)
			cancel()
			assert.Equal(t, redial.Refused, redial.Classify(err))
			assert.LessOrEqual(t, time.Since(start), min(limit, 5*time.Minute))
			assert.Greater(t, time.Since(start), min(limit, 5*time.Minute)*9/10)
		}
	})
}

// forever returns the Dialer of a daemon.
func forever() *redial.Dialer {
	policy := redial.DefaultPolicy()
	policy[redial.NotFound] = redial.Exponential(time.Second, time.Minute)  // its name may not exist yet
	policy[redial.Exhausted] = redial.Exponential(time.Second, time.Minute) // this machine may recover
	return &redial.Dialer{MaxElapsed: -1, Policy: policy}
}

func Example_forever() {
	d := forever()
	for _, class := range []redial.Class{redial.Refused, redial.NotFound, redial.TLS} {
		fmt.Println(class, d.Policy[class] != nil)
	}
	// Output:
	// refused true
	// not_found true
	// tls false
}

func TestForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := forever()
		d.DialFunc = dialtest.Script(dialtest.NXDomain.Times(1000), dialtest.Refuse.Times(1000), dialtest.OK).DialContext
		start := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", dbAddress)
		assert.NoError(t, err)
		assert.Greater(t, time.Since(start), 10*time.Hour)
	})
}

// Keep a connection.
func Example_keep() {
	script := dialtest.Script(dialtest.OK.Forever())
	go func() { // the server breaks the first connection after a line
		first, _ := script.Accept()
		io.WriteString(first, "one\n")
		first.Close()
		second, _ := script.Accept()
		io.WriteString(second, "two\n")
	}()
	d := &redial.Dialer{DialFunc: script.DialContext, Policy: quickly}

	err := redial.Reconnect(ctx, d, "tcp", "feed.example:7000", func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", "feed.example:7000") // and log in
	}, func(ctx context.Context, conn net.Conn) error {
		defer context.AfterFunc(ctx, func() { conn.Close() })() // ends the reads with ctx
		for lines := bufio.NewReader(conn); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return err // connect again
			}
			fmt.Print(line)
			if line == "two\n" {
				return nil // done
			}
		}
	})
	fmt.Println(err)
	// Output:
	// one
	// two
	// <nil>
}

// logFailures makes d log one record for each dial that has failed.
func logFailures(d *redial.Dialer, logger *zap.Logger) {
	d.Logger = zap.NewNop() // no records of attempts
	d.OnDial = func(ctx context.Context, _, address string) (context.Context, func(redial.Result)) {
		return ctx, func(r redial.Result) {
			if r.Err != nil && !r.Nested && r.Stop != redial.ErrCanceled {
				logger.Error("dial failed", zap.String("address", address), zap.Stringer("class", r.Class), zap.Error(r.Err))
			}
		}
	}
}

func Example_logFailures() {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK, dialtest.NXDomain).DialContext, Policy: quickly}
	core, logs := observer.New(zap.DebugLevel)
	logFailures(d, zap.New(core))
	d.DialContext(ctx, "tcp", dbAddress) // recovers
	d.DialContext(ctx, "tcp", dbAddress) // fails
	for _, record := range logs.All() {
		fmt.Println(record.Level, record.Message, record.ContextMap()["class"])
	}
	// Output: error dial failed not_found
}

// With a Gate, dials that fail by a shared failure are logged too.
func TestLogFailuresWithGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext, Gate: new(redial.Gate), MaxElapsed: 3 * time.Second}
		core, logs := observer.New(zap.DebugLevel)
		logFailures(d, zap.New(core))
		for range 5 {
			go d.DialContext(t.Context(), "tcp", dbAddress)
		}
		time.Sleep(10 * time.Second)
		assert.Len(t, logs.All(), 5)
	})
}

// JSON records, of which the same message is written at most ten times a second, then each hundredth.
func production() (*zap.Logger, error) {
	config := zap.NewProductionConfig() // JSON
	config.Sampling = &zap.SamplingConfig{Initial: 10, Thereafter: 100}
	config.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder // "1.5s" in place of 1.5
	config.OutputPaths = []string{"stdout"}
	return config.Build()
}

func Example_production() {
	logger, err := production()
	fmt.Println(logger.Level(), err)
	// Output: info <nil>
}

func TestProduction(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = file
	logger, err := production()
	os.Stdout = stdout
	require.NoError(t, err)
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Times(50), dialtest.OK).DialContext, Policy: quickly, Logger: logger}
	_, err = d.DialContext(t.Context(), "tcp", dbAddress)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	assert.Less(t, len(lines), 50, "sampled")
	var record map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &record))
	assert.Equal(t, "refused", record["class"])
	assert.IsType(t, "", record["delay"])
}

// A loop of five tries with a pause of two seconds.
func Example_tries() {
	d := &redial.Dialer{MaxElapsed: 5 * 2 * time.Second} // as long as the loop tried
	exactly := &redial.Dialer{                           // as the loop did, but a missing name or a bad certificate still fails at once
		Dialer:      net.Dialer{Timeout: 3 * time.Second}, // of the loop's DialTimeout
		MaxAttempts: 5,
		MaxElapsed:  -1,
		Policy:      constant(2 * time.Second),
	}
	fmt.Println(d.MaxElapsed, exactly.MaxAttempts)
	// Output: 10s 5
}

// constant returns a Policy with the classes of the default one, and one delay for all.
func constant(delay time.Duration) redial.Policy {
	policy := redial.Policy{}
	for class := range redial.DefaultPolicy() {
		policy[class] = func() backoff.BackOff { return backoff.NewConstantBackOff(delay) }
	}
	return policy
}

func Example_constant() {
	policy := constant(2 * time.Second)
	for _, class := range []redial.Class{redial.Refused, redial.Timeout} {
		fmt.Println(class, policy[class]().NextBackOff())
	}
	// Output:
	// refused 2s
	// timeout 2s
}

// A server that is back after 7 s: the loop's five tries reach it, and so does MaxElapsed, but not MaxAttempts 5 alone.
func TestTries(t *testing.T) {
	for name, test := range map[string]struct {
		dialer   redial.Dialer
		connects bool
	}{
		"MaxElapsed":                   {redial.Dialer{MaxElapsed: 5 * 2 * time.Second}, true},
		"five tries with pauses":       {redial.Dialer{MaxAttempts: 5, Policy: constant(2 * time.Second)}, true},
		"five tries, but other pauses": {redial.Dialer{MaxAttempts: 5}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				back := time.Now().Add(7 * time.Second)
				test.dialer.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					if time.Now().Before(back) {
						return dialtest.Script(dialtest.Refuse).DialContext(ctx, network, address)
					}
					return dialtest.Script(dialtest.OK).DialContext(ctx, network, address)
				}
				_, err := test.dialer.DialContext(t.Context(), "tcp", dbAddress)
				assert.Equal(t, test.connects, err == nil, "%v", err)
			})
		})
	}
}

// byHost gives each request to the transport of its host, or to the transport of "".
type byHost map[string]http.RoundTripper

func (m byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if transport, ok := m[r.URL.Hostname()]; ok {
		return transport.RoundTrip(r)
	}
	return m[""].RoundTrip(r)
}

func Example_upstreams() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()

	quick := &redial.Dialer{Dialer: net.Dialer{Timeout: time.Second}, MaxElapsed: 3 * time.Second}
	patient := &redial.Dialer{MaxElapsed: time.Minute}
	client := &http.Client{Transport: byHost{
		"":                redial.NewTransport(quick, nil),
		"reports.example": redial.NewTransport(patient, nil),
	}}
	response, err := client.Get(server.URL)
	fmt.Println(response.Status, err)
	response.Body.Close()
	client.Transport.(byHost)[""].(*redial.Transport).CloseIdleConnections()
	// Output: 200 OK <nil>
}

func TestUpstreams(t *testing.T) {
	seen := func(name string) http.RoundTripper {
		return roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New(name) })
	}
	client := &http.Client{Transport: byHost{"": seen("other"), "reports.example": seen("reports")}}
	_, err := client.Get("http://reports.example:8080/")
	assert.ErrorContains(t, err, "reports")
	_, err = client.Get("http://shop.example/")
	assert.ErrorContains(t, err, "other")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dialAny dials the hosts in turn, and all again after a wait.
func dialAny(ctx context.Context, d *redial.Dialer, hosts ...string) (net.Conn, error) {
	each := *d
	each.Timeout = 2 * time.Second // for one host; d.Timeout is for all
	return redial.Do(ctx, d, "tcp", strings.Join(hosts, ","), func(ctx context.Context) (net.Conn, error) {
		var all error
		for _, host := range hosts {
			conn, err := each.DialContext(ctx, "tcp", host) // one attempt, because Do retries
			if err == nil {
				return conn, nil
			}
			all = errors.Join(all, err)
		}
		return nil, all
	})
}

func Example_hosts() {
	script := dialtest.Script().For("a.example:80", dialtest.Refuse.Forever()).For("b.example:80", dialtest.Refuse, dialtest.OK)
	d := &redial.Dialer{DialFunc: script.DialContext, Policy: quickly}
	_, err := dialAny(ctx, d, "a.example:80", "b.example:80")
	for _, dial := range script.Dials() {
		fmt.Println(dial.Address, dial.Err == nil)
	}
	fmt.Println(err)
	// Output:
	// a.example:80 false
	// b.example:80 false
	// a.example:80 false
	// b.example:80 true
	// <nil>
}

// A silent host does not keep the dial from the next one.
func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script().For("a.example:80", dialtest.Timeout.Forever()).For("b.example:80", dialtest.OK)
		start := time.Now()
		_, err := dialAny(t.Context(), &redial.Dialer{DialFunc: script.DialContext}, "a.example:80", "b.example:80")
		assert.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}
