//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/bench"
)

// comparedClients returns the HTTPClients, and the libraries as the DialContext of an http.Transport.
func comparedClients() []bench.HTTPClient {
	var all []bench.HTTPClient
	for _, c := range bench.HTTPClients {
		if c.Name != "http.Transport, wrapped" {
			all = append(all, c)
		}
	}
	for _, d := range bench.Named("redial", "backoff v4", "backoff v5", "retry-go", "failsafe-go, backoff", "go-retry") {
		all = append(all, bench.InTransport(d))
	}
	return all
}

func clients() *measurement {
	all := comparedClients()
	var rows []string
	for _, c := range all {
		rows = append(rows, c.Name)
	}
	const ours = "redial.NewTransport"
	dead := newTable("200 requests with a timeout of 500 ms at a dead port", rows,
		less("connects during the requests", count, ours, "http.Transport"), plain("dials that go on", count), plain("connects in 5 s after the last request", count))
	slots := newTable("MaxConnsPerHost 2, after 15 s down", rows,
		less("first answer after the return", nanoseconds, ours), plain("requests lost after the return", count))
	once := func(s scope, round int) error {
		// All wait at the same time, because a wait costs nothing.
		var mu sync.Mutex
		atOnce := func(measure func(c bench.HTTPClient) (t *table, values []float64, err error)) error {
			var wg sync.WaitGroup
			var failure error
			for _, i := range turn(len(all), round) {
				wg.Go(func() {
					t, values, err := measure(all[i])
					mu.Lock()
					defer mu.Unlock()
					failure = errors.Join(failure, err)
					for j, value := range values {
						t.columns[j].add(rows[i], value)
					}
				})
			}
			wg.Wait()
			return failure
		}
		err := atOnce(func(c bench.HTTPClient) (*table, []float64, error) {
			r, err := measureDead(c, pick(s, 200, 20), pick(s, 5*time.Second, 300*time.Millisecond))
			return dead, []float64{float64(r.during), float64(r.loops), float64(r.after)}, err
		})
		if err != nil {
			return err
		}
		return atOnce(func(c bench.HTTPClient) (*table, []float64, error) {
			first, lost, err := measureSlots(c, pick(s, 15*time.Second, 500*time.Millisecond))
			return slots, []float64{float64(first), float64(lost)}, err
		})
	}
	return &measurement{
		title: "HTTP at a dead server",
		about: "In the first table, 200 requests begin together. It counts the sockets that connect until the last request has failed, the dials that still go on then, and the sockets that these connect in the next 5 s. " +
			"In the second table, a request with a timeout of 1 s begins every 50 ms, on a transport that allows two connections, and the server returns after 15 s.",
		rounds: 3,
		once:   once,
		tables: []*table{dead, slots},
		after: "net/http does not tell a dialer that the request is over, so any library that retries in a `DialContext` goes on, redial too. With `NewTransport`, redial knows, and stops. " +
			"go-retryablehttp and a loop around the request stop with the request as well. `MaxConnsPerHost` shows what it costs if a dial goes on: while the dial waits, it holds one of the places.",
	}
}

type deadResult struct{ during, loops, after int64 }

func measureDead(c bench.HTTPClient, n int, watch time.Duration) (r deadResult, err error) {
	port, err := newDeadPort()
	if err != nil {
		return r, err
	}
	var connects, loops atomic.Int64
	client := c.New(bench.HTTPOptions{
		Dial:    counted(&connects),
		Timeout: 500 * time.Millisecond,
		Dialing: func() func() { loops.Add(1); return func() { loops.Add(-1) } },
	})
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if resp, err := client.Get("http://" + port.address); err == nil {
				resp.Body.Close()
			}
		})
	}
	all.Wait()
	time.Sleep(50 * time.Millisecond) // for dials that are about to end
	r.during, r.loops = connects.Load(), loops.Load()
	time.Sleep(watch)
	r.after = connects.Load() - r.during
	// Let the dials that go on connect, so that they do not disturb what follows.
	ln, err := port.listen()
	if err != nil {
		return r, err
	}
	defer ln.Close()
	go acceptAll(ln)
	for deadline := time.Now().Add(20 * time.Second); loops.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	client.CloseIdleConnections()
	return r, nil
}

func counted(connects *atomic.Int64) bench.Options {
	var o bench.Options
	o.Net.Control = func(string, string, syscall.RawConn) error { connects.Add(1); return nil }
	return o
}

// measureSlots returns when the first request was answered, and how many of those that began
// after the server's return failed.
func measureSlots(c bench.HTTPClient, down time.Duration) (first time.Duration, lost int64, err error) {
	port, err := newDeadPort()
	if err != nil {
		return 0, 0, err
	}
	client := c.New(bench.HTTPOptions{Timeout: time.Second, MaxConnsPerHost: 2})
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var up, answered time.Time
	var all sync.WaitGroup
	request := func() {
		start := time.Now()
		err := get(client, "http://"+port.address)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil && answered.IsZero():
			answered = time.Now()
		case err != nil && !up.IsZero() && start.After(up):
			lost++
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), down+time.Minute)
	defer cancel()
	var server http.Server
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	defer server.Close()
	isUp := time.AfterFunc(down, func() {
		ln, listenErr := port.listen()
		mu.Lock()
		defer mu.Unlock()
		up, err = time.Now(), listenErr
		if err == nil {
			go server.Serve(ln)
		}
	})
	defer isUp.Stop()
	done := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !answered.IsZero()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() && ctx.Err() == nil {
		all.Go(request)
		<-tick.C
	}
	all.Wait()
	if err == nil && answered.IsZero() {
		err = fmt.Errorf("%s: no answer within a minute of the server's return", c.Name)
	}
	return answered.Sub(up), lost, err
}
