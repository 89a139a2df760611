package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	retrygo "github.com/avast/retry-go/v5"
	backoffv4 "github.com/cenkalti/backoff/v4"
	backoffv5 "github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/hashicorp/go-retryablehttp"
	goretry "github.com/sethvargo/go-retry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// TestClaims has a subtest for each claim of docs/comparison.md, and in it one for each library. The
// expected values are what the page says. All but the last two run in virtual time.
func TestClaims(t *testing.T) {
	t.Run("the error at the end of ctx has the last failure of the dial", claimLastError)
	t.Run("the last failed attempt is reported too", claimLastReport)
	t.Run("a last attempt is made before the end of ctx", claimBudget)
	t.Run("a last attempt is made before the end of the library's own limit", claimOwnBudget)
	t.Run("bounded by default", claimBounded)
	t.Run("an attempt without an answer is cut off by default", claimTimeout)
	t.Run("retried by default", claimClasses)
	t.Run("concurrent dials to one dead server are bounded", claimCrowd)
	t.Run("retries within retries do not multiply", claimNested)
	t.Run("a schedule that is used twice starts anew", claimReuse)
	t.Run("a schedule that two dials use at once is not disturbed", claimShared)
	t.Run("a server that accepts and closes is not hit in a tight loop", claimReconnect)
	t.Run("dials stop with the HTTP request", claimHTTP)
	t.Run("the error of an HTTP request has the last failure of the dial", claimHTTPError)
	t.Run("retried by default, HTTP", claimHTTPClasses)
	t.Run("go-retryablehttp: HTTPClient.Timeout bounds one attempt", claimHTTPTimeout)
	t.Run("a POST whose connection broke is sent again", claimSentTwice)
	t.Run("an answer with status 503 is retried", claimStatus)
}

// retrying returns the loop and the Dialers that retry. It leaves out two that would repeat others:
// "redial, Gate" differs from redial in one claim only, and "failsafe-go, backoff" from failsafe-go
// only in its defaults.
func retrying() []Dialer {
	all := []Dialer{Loop}
	for _, d := range Dialers {
		if d.Retries && d.Name != "redial, Gate" && d.Name != "failsafe-go, backoff" {
			all = append(all, d)
		}
	}
	return all
}

// each runs claim for each library, and compares its result with the one in want.
func each[T any](t *testing.T, want map[string]T, claim func(t *testing.T, d Dialer) T) {
	dialers := retrying()
	require.Len(t, want, len(dialers))
	for _, d := range dialers {
		testutil.Bubble(t, d.Name, func(t *testing.T) {
			require.Contains(t, want, d.Name)
			assert.Equal(t, want[d.Name], claim(t, d))
		})
	}
}

// everySecond makes the peers comparable.
func everySecond(int) time.Duration { return time.Second }

func claimLastError(t *testing.T) {
	each(t, map[string]bool{
		"redial":              true,
		"backoff v4":          false,
		"backoff v5":          false,
		"retry-go":            true, // it lists all errors, but see below
		"failsafe-go":         false,
		"go-retry":            false,
		"a hand-written loop": false,
	}, func(t *testing.T, d Dialer) bool {
		s := script{refusals: always}
		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		_, err := d.New(Options{Connect: s.DialContext, Attempts: 100, Delay: everySecond})(ctx, "tcp", address)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	testutil.Bubble(t, "retry-go without a limit", func(t *testing.T) {
		s := script{refusals: always}
		ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
		defer cancel()
		_, err := newRetryGo(Options{Connect: s.DialContext, Attempts: -1, Delay: everySecond})(ctx, "tcp", address)
		assert.NotErrorIs(t, err, syscall.ECONNREFUSED, "unless WrapContextErrorWithLastError is set")
	})
}

func claimLastReport(t *testing.T) {
	each(t, map[string]int{
		"redial":              3,
		"backoff v4":          2, // as Notify's doc says
		"backoff v5":          2,
		"retry-go":            3,
		"failsafe-go":         3,
		"go-retry":            0, // it has no such hook
		"a hand-written loop": 3, // as it was written
	}, func(t *testing.T, d Dialer) int {
		s := script{refusals: always}
		reported := 0
		_, err := d.New(Options{Connect: s.DialContext, Attempts: 3, Delay: everySecond, Failed: func(int) { reported++ }})(t.Context(), "tcp", address)
		assert.Error(t, err)
		assert.Len(t, s.attempts, 3)
		return reported
	})
}

// claimBudget reports whether a dial connects if the server comes back in the last wait before
// the end of ctx.
func claimBudget(t *testing.T) {
	each(t, map[string]bool{
		"redial":              true,
		"backoff v4":          false,
		"backoff v5":          false,
		"retry-go":            false,
		"failsafe-go":         false,
		"go-retry":            false,
		"a hand-written loop": false,
	}, func(t *testing.T, d Dialer) bool {
		s := script{refusals: 5}
		ctx, cancel := context.WithTimeout(t.Context(), 4900*time.Millisecond)
		defer cancel()
		conn, _ := d.New(Options{Connect: s.DialContext, Attempts: 100, Delay: everySecond})(ctx, "tcp", address)
		return conn != nil
	})
}

// claimOwnBudget is claimBudget for the libraries that have a limit in time of their own, set to 4.9 s.
func claimOwnBudget(t *testing.T) {
	const limit = 4900 * time.Millisecond
	want := map[string]bool{"redial": true, "backoff v4": false, "backoff v5": false, "failsafe-go": true, "go-retry": true}
	dial := func(name string, connect func() (net.Conn, error)) (net.Conn, error) {
		every := &schedule{delay: everySecond}
		switch name {
		case "redial":
			d := newRedial(Options{Delay: everySecond, Connect: func(context.Context, string, string) (net.Conn, error) { return connect() }}, nil)
			d.MaxElapsed = limit
			return d.Dial("tcp", address)
		case "backoff v4":
			b := backoffv4.NewExponentialBackOff(backoffv4.WithInitialInterval(time.Second), backoffv4.WithMultiplier(1),
				backoffv4.WithRandomizationFactor(0), backoffv4.WithMaxElapsedTime(limit))
			return backoffv4.RetryWithData(connect, b)
		case "backoff v5":
			return backoffv5.Retry(context.Background(), connect, backoffv5.WithBackOff(every), backoffv5.WithMaxElapsedTime(limit))
		case "failsafe-go":
			p := retrypolicy.NewBuilder[net.Conn]().WithDelay(time.Second).WithMaxRetries(-1).WithMaxDuration(limit).Build()
			return failsafe.With[net.Conn](p).Get(connect)
		default:
			b := goretry.WithMaxDuration(limit, goretry.NewConstant(time.Second))
			return goretry.DoValue(context.Background(), b, func(context.Context) (net.Conn, error) {
				conn, err := connect()
				return conn, goretry.RetryableError(err)
			})
		}
	}
	for name, want := range want {
		testutil.Bubble(t, name, func(t *testing.T) {
			s := script{refusals: 5}
			conn, _ := dial(name, func() (net.Conn, error) { return s.DialContext(context.Background(), "tcp", address) })
			assert.Equal(t, want, conn != nil)
		})
	}
}

// claimBounded returns how long a dial to a dead server takes, and how many attempts it makes,
// by default and without a deadline.
func claimBounded(t *testing.T) {
	type bounds struct{ low, high time.Duration }
	want := map[string]bounds{
		"redial":              {28 * time.Second, 30 * time.Second},
		"backoff v4":          {13 * time.Minute, 15 * time.Minute},
		"backoff v5":          {13 * time.Minute, 15 * time.Minute},
		"retry-go":            {51 * time.Second, 53 * time.Second}, // 10 attempts
		"failsafe-go":         {0, 0},                               // 3 attempts
		"go-retry":            {24 * time.Hour, 24 * time.Hour},
		"a hand-written loop": {24 * time.Hour, 24 * time.Hour},
	}
	for _, d := range retrying() {
		testutil.Bubble(t, d.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			s := script{refusals: always}
			_, err := d.New(Options{Connect: s.DialContext})(ctx, "tcp", address)
			assert.Error(t, err)
			took := time.Since(s.attempts[0])
			assert.GreaterOrEqual(t, took, want[d.Name].low)
			assert.LessOrEqual(t, took, want[d.Name].high)
			t.Logf("%d attempts in %v", len(s.attempts), took)
		})
	}
}

// claimTimeout reports whether a dial connects if its first attempt gets no answer.
func claimTimeout(t *testing.T) {
	each(t, map[string]bool{
		"redial":              true,
		"backoff v4":          false,
		"backoff v5":          false,
		"retry-go":            false,
		"failsafe-go":         false, // its timeout policy does it, if it is added
		"go-retry":            false,
		"a hand-written loop": false,
	}, func(t *testing.T, d Dialer) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		attempts := 0
		connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
			if attempts++; attempts == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return struct{ net.Conn }{}, nil
		}
		conn, _ := d.New(Options{Connect: connect})(ctx, "tcp", address)
		return conn != nil
	})
}

// These failures will not go away while a dial waits.
var permanent = map[string]error{
	"a certificate that is not trusted": &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
	"a name that does not exist":        &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a.test", IsNotFound: true}},
	"a bad address":                     &net.OpError{Op: "dial", Net: "tcp", Err: &net.AddrError{Err: "missing port in address", Addr: "a"}},
	"denied by the kernel":              &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EACCES},
}

func claimClasses(t *testing.T) {
	for kind, failure := range permanent {
		t.Run(kind, func(t *testing.T) {
			each(t, map[string]int{
				"redial":              1,
				"backoff v4":          3,
				"backoff v5":          3,
				"retry-go":            3,
				"failsafe-go":         3,
				"go-retry":            3, // what the caller marks as RetryableError, is
				"a hand-written loop": 3,
			}, func(t *testing.T, d Dialer) int {
				attempts := 0
				connect := func(context.Context, string, string) (net.Conn, error) { attempts++; return nil, failure }
				_, err := d.New(Options{Connect: connect, Attempts: 3, Delay: everySecond})(t.Context(), "tcp", address)
				assert.Error(t, err)
				return attempts
			})
		})
	}
}

// claimCrowd counts the attempts of 100 and of 200 dials in 10 s with the same schedule. They are
// bounded if twice as many dials do not make more.
func claimCrowd(t *testing.T) {
	crowd := func(t *testing.T, n int, dial Dial) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		testutil.Crowd(n, func(int) error { _, err := dial(ctx, "tcp", address); return err })
	}
	count := func(attempts *atomic.Int32) Dial {
		return func(context.Context, string, string) (net.Conn, error) {
			attempts.Add(1)
			return nil, refuse("tcp", address)
		}
	}
	dialers := append(retrying(), Named("redial, Gate")...)
	for _, d := range dialers {
		testutil.Bubble(t, d.Name, func(t *testing.T) {
			var first, second atomic.Int32
			crowd(t, 100, d.New(Options{Connect: count(&first), Attempts: -1, Delay: everySecond}))
			crowd(t, 200, d.New(Options{Connect: count(&second), Attempts: -1, Delay: everySecond}))
			t.Logf("100 dials: %d attempts; 200 dials: %d", first.Load(), second.Load())
			if d.Name == "redial, Gate" {
				assert.LessOrEqual(t, first.Load(), int32(120))
				assert.LessOrEqual(t, second.Load(), int32(120))
				return
			}
			assert.GreaterOrEqual(t, first.Load(), int32(1000))
			assert.GreaterOrEqual(t, second.Load(), int32(2000))
		})
	}
	// A circuit breaker bounds the attempts. It does so by failing dials, and no dial knows that
	// the server is back before the breaker's own delay is over.
	testutil.Bubble(t, "failsafe-go with a circuit breaker", func(t *testing.T) {
		var attempts atomic.Int32
		connect := count(&attempts)
		breaker := circuitbreaker.NewBuilder[net.Conn]().WithFailureThreshold(5).WithDelay(time.Second).Build()
		retries := retrypolicy.NewBuilder[net.Conn]().WithDelay(time.Second).WithMaxRetries(-1).Build()
		executor := failsafe.With[net.Conn](retries, breaker)
		crowd(t, 100, func(ctx context.Context, network, address string) (net.Conn, error) {
			return executor.WithContext(ctx).Get(func() (net.Conn, error) { return connect(ctx, network, address) })
		})
		t.Logf("100 dials: %d attempts", attempts.Load())
		assert.Less(t, attempts.Load(), int32(200))
	})
	// So does a throttle of retry-go: the dials fail when its tokens are used up.
	testutil.Bubble(t, "retry-go with a throttle", func(t *testing.T) {
		var attempts, throttled atomic.Int32
		connect := count(&attempts)
		retrier := retrygo.NewWithData[net.Conn](retrygo.UntilSucceeded(), retrygo.DelayType(retrygo.FixedDelay), retrygo.Delay(time.Second),
			retrygo.WithFixedTokenBucketThrottle(retrygo.FixedTokenBucketThrottleConfig{}))
		crowd(t, 100, func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := retrier.Do(func() (net.Conn, error) { return connect(ctx, network, address) })
			if errors.Is(err, retrygo.ErrThrottled) {
				throttled.Add(1)
			}
			return conn, err
		})
		assert.Less(t, attempts.Load(), int32(200))
		assert.Equal(t, int32(100), throttled.Load())
	})
}

// claimNested returns how many attempts are made by 3 attempts around 3.
func claimNested(t *testing.T) {
	each(t, map[string]int{
		"redial":              3,
		"backoff v4":          9,
		"backoff v5":          9,
		"retry-go":            9,
		"failsafe-go":         9,
		"go-retry":            9,
		"a hand-written loop": 9,
	}, func(t *testing.T, d Dialer) int {
		s := script{refusals: always}
		inner := d.New(Options{Connect: s.DialContext, Attempts: 3, Delay: everySecond})
		_, err := d.New(Options{Connect: inner, Attempts: 3, Delay: everySecond})(t.Context(), "tcp", address)
		assert.Error(t, err)
		return len(s.attempts)
	})
}

// claimReuse makes two dials of 3 attempts each with one schedule, or whatever the library has in
// its place.
func claimReuse(t *testing.T) {
	for name, twice := range map[string]func(connect func() error){
		"redial": func(connect func() error) {
			d := newRedial(Options{Attempts: 3, Connect: func(context.Context, string, string) (net.Conn, error) { return nil, connect() }}, nil)
			d.Dial("tcp", address)
			d.Dial("tcp", address)
		},
		"backoff v4": func(connect func() error) {
			b := backoffv4.WithMaxRetries(backoffv4.NewExponentialBackOff(), 2)
			backoffv4.Retry(connect, b)
			backoffv4.Retry(connect, b)
		},
		"backoff v5": func(connect func() error) {
			b := backoffv5.NewExponentialBackOff()
			for range 2 {
				backoffv5.Retry(context.Background(), func() (int, error) { return 0, connect() }, backoffv5.WithBackOff(b), backoffv5.WithMaxTries(3))
			}
		},
		"retry-go": func(connect func() error) {
			r := retrygo.New(retrygo.Attempts(3))
			r.Do(connect)
			r.Do(connect)
		},
		"failsafe-go": func(connect func() error) {
			executor := failsafe.With[any](retrypolicy.NewBuilder[any]().WithDelay(time.Second).Build())
			executor.Run(connect)
			executor.Run(connect)
		},
		"go-retry": func(connect func() error) {
			b := goretry.WithMaxRetries(2, goretry.NewFibonacci(time.Second))
			for range 2 {
				goretry.Do(context.Background(), b, func(context.Context) error { return goretry.RetryableError(connect()) })
			}
		},
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			attempts := 0
			twice(func() error { attempts++; return refuse("tcp", address) })
			if name == "go-retry" {
				assert.Equal(t, 4, attempts, "the second dial has no retries left")
				return
			}
			assert.Equal(t, 6, attempts)
		})
	}
}

// A lockedBackOff is a BackOff that two goroutines can use at once. Those of backoff are not safe.
type lockedBackOff struct {
	mu sync.Mutex
	backoffv4.BackOff
}

func (b *lockedBackOff) NextBackOff() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.BackOff.NextBackOff()
}

func (b *lockedBackOff) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.BackOff.Reset()
}

// claimShared lets a second dial begin while the first waits, both on one schedule of 1, 2, 4, ... s.
func claimShared(t *testing.T) {
	undisturbed := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}
	newBackOff := func() *backoffv4.ExponentialBackOff {
		return backoffv4.NewExponentialBackOff(backoffv4.WithInitialInterval(time.Second),
			backoffv4.WithMultiplier(2), backoffv4.WithRandomizationFactor(0))
	}
	b := &lockedBackOff{BackOff: newBackOff()}
	retrier := retrygo.New(retrygo.Delay(time.Second), retrygo.DelayType(retrygo.BackOffDelay))
	executor := failsafe.With[any](retrypolicy.NewBuilder[any]().WithBackoff(time.Second, time.Minute).WithMaxRetries(-1).Build())
	exponential := goretry.NewExponential(time.Second)
	d := newRedial(Options{}, nil)
	d.Policy = redial.Policy{redial.Refused: func() backoffv4.BackOff { return newBackOff() }}

	for _, c := range []struct {
		name string
		keep bool
		dial func(attempt func() error)
	}{
		{"redial", true, func(attempt func() error) {
			redial.Do(context.Background(), d, "tcp", address, func(context.Context) (int, error) { return 0, attempt() })
		}},
		{"backoff v4", false, func(attempt func() error) { backoffv4.Retry(attempt, b) }},
		{"backoff v5", false, func(attempt func() error) {
			backoffv5.Retry(context.Background(), func() (int, error) { return 0, attempt() }, backoffv5.WithBackOff(b))
		}},
		{"retry-go", true, func(attempt func() error) { retrier.Do(attempt) }},
		{"failsafe-go", true, func(attempt func() error) { executor.Run(attempt) }},
		{"go-retry", false, func(attempt func() error) {
			goretry.Do(context.Background(), exponential, func(context.Context) error { return goretry.RetryableError(attempt()) })
		}},
	} {
		testutil.Bubble(t, c.name, func(t *testing.T) {
			first, second := script{refusals: 3}, script{refusals: 3}
			var both sync.WaitGroup
			for i, s := range []*script{&first, &second} {
				both.Go(func() {
					time.Sleep(time.Duration(i) * 2500 * time.Millisecond)
					c.dial(func() error {
						_, err := s.DialContext(context.Background(), "tcp", address)
						return err
					})
				})
			}
			both.Wait()
			if c.keep {
				assert.Equal(t, undisturbed, first.delays())
			} else {
				assert.NotEqual(t, undisturbed, first.delays())
			}
		})
	}
}

// httpClients returns the HTTPClients, and the Dialers within an http.Transport.
func httpClients() []HTTPClient {
	all := HTTPClients
	for _, d := range retrying() {
		all = append(all, InTransport(d))
	}
	return append(all, InTransport(Named("failsafe-go, backoff")[0]))
}

// claimHTTP counts the attempts to connect in the minute after a request with a timeout of 500 ms.
func claimHTTP(t *testing.T) {
	goesOn := map[string]bool{
		"redial in http.Transport":               true, // hence NewTransport
		"backoff v4 in http.Transport":           true,
		"backoff v5 in http.Transport":           true,
		"retry-go in http.Transport":             true,
		"failsafe-go, backoff in http.Transport": true,
		"go-retry in http.Transport":             true,
		"a hand-written loop in http.Transport":  true,
	}
	for _, c := range httpClients() {
		testutil.Bubble(t, c.Name, func(t *testing.T) {
			var attempts atomic.Int32
			begin := time.Now()
			connect := func(context.Context, string, string) (net.Conn, error) {
				attempts.Add(1)
				if time.Since(begin) > 2*time.Minute { // end the loops that go on
					conn, _ := net.Pipe()
					return conn, nil
				}
				return nil, refuse("tcp", address)
			}
			client := c.New(HTTPOptions{Dial: Options{Connect: connect}, Timeout: 500 * time.Millisecond})
			_, err := client.Get("http://" + address)
			assert.Error(t, err)
			before := attempts.Load()
			time.Sleep(time.Minute)
			after := attempts.Load() - before
			t.Logf("%d attempts, then %d more", before, after)
			if goesOn[c.Name] {
				assert.NotZero(t, after)
			} else {
				assert.Zero(t, after)
			}
			time.Sleep(20 * time.Minute)
			client.CloseIdleConnections()
			synctest.Wait()
		})
	}
}

// claimHTTPError shows whether a request that runs out of time says why it could not connect.
func claimHTTPError(t *testing.T) {
	want := map[string]bool{
		"redial.NewTransport":            true,
		"redial.NewTransport, Gate":      true,
		"go-retryablehttp":               false,
		"backoff v5 around each request": false,
	}
	for _, c := range httpClients() {
		if !c.Retries {
			continue
		}
		testutil.Bubble(t, c.Name, func(t *testing.T) {
			s := script{refusals: 4}
			client := c.New(HTTPOptions{
				Dial:    Options{Connect: s.DialContext, Delay: everySecond, Attempts: 5},
				Timeout: 2500 * time.Millisecond,
			})
			_, err := client.Get("http://" + address)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			assert.Equal(t, want[c.Name], errors.Is(err, syscall.ECONNREFUSED))
			assert.Equal(t, !want[c.Name], timeout.Timeout(), "the error of a refused dial is no timeout, as with net.Dialer")
			time.Sleep(time.Minute) // the dials that go on
			client.CloseIdleConnections()
		})
	}
}

// claimHTTPClasses counts the attempts at a server whose certificate is not trusted, and at a name
// that does not exist.
func claimHTTPClasses(t *testing.T) {
	failsafeClient := HTTPClient{Name: "failsafehttp", New: func(o HTTPOptions) *http.Client {
		policy := failsafehttp.NewRetryPolicyBuilder().WithMaxAttempts(o.Dial.Attempts).Build()
		return &http.Client{Transport: failsafehttp.NewRoundTripper(o.transport(o.Dial.connect()), policy)}
	}}
	type counts struct{ certificate, name int }
	want := map[string]counts{
		"http.Transport":                 {1, 1},
		"http.Transport, wrapped":        {1, 1},
		"redial.NewTransport":            {1, 1},
		"redial.NewTransport, Gate":      {1, 1},
		"go-retryablehttp":               {1, 3}, // it knows certificates
		"backoff v5 around each request": {3, 3},
		"failsafehttp":                   {3, 3}, // it knows certificates in a *url.Error only, which a RoundTripper does not see
	}
	for _, c := range append([]HTTPClient{failsafeClient}, HTTPClients...) {
		testutil.Bubble(t, c.Name, func(t *testing.T) {
			var got counts
			for kind, attempts := range map[string]*int{"a certificate that is not trusted": &got.certificate, "a name that does not exist": &got.name} {
				connect := func(context.Context, string, string) (net.Conn, error) { *attempts++; return nil, permanent[kind] }
				client := c.New(HTTPOptions{Dial: Options{Connect: connect, Attempts: 3, Delay: everySecond}})
				_, err := client.Get("http://" + address)
				assert.Error(t, err)
			}
			assert.Equal(t, want[c.Name], got)
		})
	}
}

// The Timeout of go-retryablehttp's own HTTPClient bounds each attempt. The waits between the attempts,
// and the other attempts, come on top.
func claimHTTPTimeout(t *testing.T) {
	testutil.Bubble(t, "go-retryablehttp", func(t *testing.T) {
		s := script{refusals: always}
		c := retryablehttp.NewClient()
		c.Logger = nil
		c.HTTPClient.Timeout = 500 * time.Millisecond
		c.HTTPClient.Transport = (&HTTPOptions{}).transport(s.DialContext)
		begin := time.Now()
		_, err := c.Get("http://" + address)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Len(t, s.attempts, 5)
		assert.Equal(t, 15*time.Second, time.Since(begin), "1 + 2 + 4 + 8 s")
	})
}

// A library that retries requests sends a POST again after the connection broke, though the
// server may have acted on it. A Transport of redial retries the dial only.
func claimSentTwice(t *testing.T) {
	for name, want := range map[string]int32{"redial.NewTransport": 1, "go-retryablehttp": 3, "http.Transport": 1} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
				buffer := make([]byte, 4096)
				if n, _ := conn.Read(buffer); n > 0 {
					requests.Add(1) // and closes the connection without an answer
				}
			})
			for _, c := range HTTPClients {
				if c.Name != name {
					continue
				}
				client := c.New(HTTPOptions{Dial: Options{Attempts: 3, Delay: func(int) time.Duration { return time.Millisecond }}})
				req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/pay", ln.Addr()), http.NoBody)
				require.NoError(t, err)
				_, err = client.Do(req)
				assert.Error(t, err)
				client.CloseIdleConnections()
			}
			assert.Equal(t, want, requests.Load())
		})
	}
}

// claimStatus counts the requests at a server that is not available.
func claimStatus(t *testing.T) {
	for _, c := range HTTPClients {
		t.Run(c.Name, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer server.Close()
			client := c.New(HTTPOptions{Dial: Options{Attempts: 3, Delay: func(int) time.Duration { return time.Millisecond }}})
			defer client.CloseIdleConnections()
			if resp, err := client.Get(server.URL); err == nil {
				resp.Body.Close()
			}
			want := int32(1)
			if c.Name == "go-retryablehttp" {
				want = 3
			}
			assert.Equal(t, want, requests.Load())
		})
	}
}
