package dialtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// classes dials address n times and returns the class of each error. For a connection, the class is
// Unknown.
func classes(t *testing.T, script *dialtest.Dialer, address string, n int) []redial.Class {
	t.Helper()
	var all []redial.Class
	for range n {
		_, err := script.DialContext(t.Context(), "tcp", address)
		all = append(all, redial.Classify(err))
	}
	return all
}

const (
	connected = redial.Unknown
	refused   = redial.Refused
	ranOut    = redial.Invalid
)

func TestScriptInOrder(t *testing.T) {
	script := dialtest.Script(dialtest.Refuse, dialtest.OK.Times(0), dialtest.NXDomain.Times(2), dialtest.OK)
	want := []redial.Class{refused, redial.NotFound, redial.NotFound, connected, ranOut, ranOut}
	assert.Equal(t, want, classes(t, script, "db:5432", 6))
}

func TestScriptPerAddress(t *testing.T) {
	script := dialtest.Script(dialtest.OK).For("db:5432", dialtest.Refuse, dialtest.OK).For("cache:6379")
	assert.Equal(t, []redial.Class{refused, connected, ranOut}, classes(t, script, "db:5432", 3))
	assert.Equal(t, []redial.Class{ranOut}, classes(t, script, "cache:6379", 1), "its own script is empty")
	assert.Equal(t, []redial.Class{connected}, classes(t, script, "queue:5672", 1))
	assert.Equal(t, []redial.Class{ranOut}, classes(t, script, "mail:25", 1), "the other addresses share a script")

	script.For("db:5432", dialtest.OK.Forever())
	assert.Equal(t, []redial.Class{connected, connected, connected}, classes(t, script, "db:5432", 3))
}

func TestScriptForever(t *testing.T) {
	script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever(), dialtest.NXDomain)
	assert.Equal(t, []redial.Class{refused, connected, connected, connected}, classes(t, script, "db:5432", 4))
}

func TestRepeat(t *testing.T) {
	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK).For("none:1").Repeat()
	want := []redial.Class{refused, refused, connected, refused, refused, connected, refused}
	assert.Equal(t, want, classes(t, script, "db:5432", 7))
	assert.Equal(t, []redial.Class{ranOut}, classes(t, script, "none:1", 1))
}

func TestRanOut(t *testing.T) {
	script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK).For("cache:6379", dialtest.OK)
	classes(t, script, "db:5432", 4)
	_, err := script.DialContext(t.Context(), "tcp", "db:5432")
	assert.EqualError(t, err, "dialtest: dial tcp db:5432: its script has run out: [Refuse.Times(3) OK]")
	var permanent *backoff.PermanentError
	assert.ErrorAs(t, err, &permanent, "backoff.Retry must not retry it either")
	assert.Equal(t, err, script.Dials()[4].Err)

	_, err = dialtest.Script().For("db:5432").For("cache:6379").DialContext(t.Context(), "tcp", "bd:5432")
	assert.EqualError(t, err, "dialtest: dial tcp bd:5432: no script for it, only for cache:6379, db:5432")

	dialer := &redial.Dialer{DialFunc: dialtest.Script().DialContext}
	_, err = dialer.Dial("tcp", "db:5432")
	assert.ErrorIs(t, err, redial.ErrPermanent, "not retried")
	assert.ErrorContains(t, err, "dial tcp: dialtest: dial tcp db:5432: its script has run out: [] (invalid, 1 attempt in ")
}

func TestFailTest(t *testing.T) {
	tb := new(recordingTB)
	script := dialtest.Script(dialtest.Refuse).FailTest(tb)
	classes(t, script, "db:5432", 1)
	assert.Empty(t, tb.errors)
	classes(t, script, "db:5432", 2)
	const want = "dialtest: dial tcp db:5432: its script has run out: [Refuse]"
	assert.Equal(t, []string{want, want}, tb.errors)
	var _ dialtest.TB = t
}

type recordingTB struct{ errors []string }

func (r *recordingTB) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// However many goroutines dial, each outcome of a script is the outcome of exactly one dial.
func TestConcurrentDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, dialers = 20, 10
		script := dialtest.Script(dialtest.Refuse.Times(2*each), dialtest.OK.After(time.Second).Times(3*each), dialtest.NXDomain.Times(5*each)).
			For("cache:6379", dialtest.OK.Forever())
		var mu sync.Mutex
		count := make(map[redial.Class]int)
		var running sync.WaitGroup
		for range dialers {
			running.Go(func() {
				for range each {
					conn, err := script.DialContext(t.Context(), "tcp", "db:5432")
					if err == nil {
						conn.Close()
					}
					mu.Lock()
					count[redial.Classify(err)]++
					mu.Unlock()

					conn, err = script.DialContext(t.Context(), "tcp", "cache:6379")
					assert.NoError(t, err)
					conn.Close()
					script.For("unrelated:1", dialtest.OK)
					script.Delays()
					script.Open()
				}
			})
		}
		running.Go(func() {
			for range 3*each + dialers*each {
				conn, err := script.Accept()
				assert.NoError(t, err)
				conn.Close()
			}
		})
		running.Wait()
		assert.Equal(t, map[redial.Class]int{refused: 2 * each, connected: 3 * each, redial.NotFound: 5 * each}, count)
		assert.Len(t, script.Dials("db:5432"), dialers*each)
		assert.Empty(t, script.Open())
		assert.NoError(t, script.Close())
	})
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Second), dialtest.OK)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, refusal := script.DialContext(ctx, "tcp4", "db:5432")
		time.Sleep(time.Hour)
		conn, err := script.DialContext(t.Context(), "udp", "dns:53")
		require.NoError(t, err)

		dials := script.Dials()
		assert.Equal(t, []dialtest.Dial{
			{
				Network: "tcp4", Address: "db:5432",
				Start: start, End: start.Add(time.Second), Deadline: start.Add(time.Minute), Err: refusal,
			},
			{
				Network: "udp", Address: "dns:53",
				Start: start.Add(time.Hour + time.Second), End: start.Add(time.Hour + time.Second), Conn: conn,
			},
		}, dials)
		assert.Equal(t, dials[1:], script.Dials("dns:53", "another:1"))
		assert.Equal(t, dials, script.Dials("dns:53", "db:5432"))
		assert.Empty(t, script.Dials("another:1"))
		assert.Equal(t, []time.Duration{time.Hour}, script.Delays())
		assert.Empty(t, script.Delays("dns:53"))

		assert.Equal(t, "dial tcp4 db:5432: "+refusal.Error(), dials[0].String())
		assert.Equal(t, "dial udp dns:53: connected from 192.0.2.2:49152", dials[1].String())
		assert.Equal(t, dials[1:], script.Open())
		conn.Close()
		assert.Empty(t, script.Open())

		dials[0].Err = errors.New("changed")
		assert.Equal(t, refusal, script.Dials()[0].Err, "Dials returns a copy")
	})
}

// The delay between dials that overlap is zero, whether or not the first has ended.
func TestRecordOfOverlappingDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Hour), dialtest.Refuse)
		go script.DialContext(t.Context(), "tcp", "db:5432")
		time.Sleep(time.Minute)
		script.DialContext(t.Context(), "tcp", "db:5432")

		assert.Equal(t, "dial tcp db:5432: under way", script.Dials()[0].String())
		assert.Equal(t, []time.Duration{0}, script.Delays())
		time.Sleep(time.Hour)
		assert.False(t, script.Dials()[0].End.IsZero())
		assert.Equal(t, []time.Duration{0}, script.Delays())
	})
}
