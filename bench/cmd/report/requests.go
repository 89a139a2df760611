//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-33f8b841/redial/bench"
)

func requests() *measurement {
	var rows []string
	var clients []bench.HTTPClient
	for _, c := range bench.HTTPClients {
		if c.Name != "redial.NewTransport, Gate" {
			clients = append(clients, c)
			rows = append(rows, c.Name)
		}
	}
	ways := []struct {
		title   string
		fresh   bool
		timeout time.Duration
		n       int
	}{
		{"Keep-alive", false, 0, 1500},
		{"Keep-alive, Client.Timeout 1 min", false, time.Minute, 1500},
		{"A new connection", true, 0, 700},
		{"A new connection, Client.Timeout 1 min", true, time.Minute, 700},
	}
	var tables []*table
	for _, way := range ways {
		tables = append(tables, newTable(way.title, rows, less("time", nanoseconds, rows[0], rows[0], rows[1]),
			less("bytes", bytes, rows[0], rows[0], rows[1]), less("allocations", count, rows[0], rows[0], rows[1])))
	}
	once := func(s scope, round int) error {
		url := fmt.Sprintf("http://127.0.0.1:%s/", webPort)
		for i, way := range ways {
			var ops []func() error
			for _, c := range clients {
				client := c.New(bench.HTTPOptions{Timeout: way.timeout, DisableKeepAlives: way.fresh})
				defer client.CloseIdleConnections()
				ops = append(ops, func() error { return get(client, url) })
			}
			if err := compare(tables[i], ops, pick(s, way.n, 30), 1, round); err != nil {
				return err
			}
		}
		return nil
	}
	return &measurement{
		title:  "A GET",
		about:  "A GET of five bytes from a server in another process. \"wrapped\" is an `http.Transport` in a `RoundTripper` that adds nothing. It is the floor for everything that wraps an `http.Transport`: with a `Timeout`, `http.Client` does more for a `RoundTripper` that is no `*http.Transport`.",
		once:   once,
		tables: tables,
		after:  "`redial.NewTransport` gives each request a trace of its own, in order to know when the request waits for a connection and when it has one. go-retryablehttp and backoff need no trace: they are loops around the request, and retry requests rather than dials.",
	}
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
