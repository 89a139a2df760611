// Picture draws the panels of the dashboard from a real storm:
//
//	go run ./internal/picture
//
// It dials a server on loopback that goes down and comes back, lets a Prometheus server scrape the
// metrics, asks that server for each panel's queries, and writes an SVG. It needs the
// program prometheus (the Debian package of that name).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-33f8b841/redial/redialprom/internal/dashboard"
)

// How often Prometheus scrapes, and how far apart the points of the picture are.
const (
	scrapeInterval = 500 * time.Millisecond
	rateInterval   = 4 * scrapeInterval // Grafana's $__rate_interval
	step           = time.Second

	// A Prometheus server makes its first scrape 5 seconds after its start, and a rate needs several.
	warmUp = 8 * time.Second
)

func main() {
	file := flag.String("dashboard", "dashboard.json", "the dashboard")
	out := flag.String("o", "../docs/dashboard.svg", "the `file` to write")
	calm := flag.Duration("calm", 12*time.Second, "how long the server is up, at first and at last")
	down := flag.Duration("down", 24*time.Second, "how long the server is down")
	budget := flag.Duration("budget", 12*time.Second, "how long a dial may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *file, *out, *calm, *down, *budget); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file, out string, calm, down, budget time.Duration) error {
	panels, err := dashboard.Read(file)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	go http.Serve(ln, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server, err := startPrometheus(ctx, ln.Addr().String())
	if err != nil {
		return err
	}
	defer server.stop()

	begin := time.Now().Add(warmUp).Truncate(step)
	storm, err := newStorm(registry, budget)
	if err != nil {
		return err
	}
	storm.run(ctx, begin, calm, down)
	end := time.Now()
	select { // until the last scrape
	case <-time.After(2 * scrapeInterval):
	case <-ctx.Done():
		return ctx.Err()
	}

	p := picture{length: end.Sub(begin), down: calm, up: calm + down}
	for _, panel := range panels {
		var lines []line
		for _, q := range panel.Queries {
			answer, err := server.queryRange(ctx, q.PromQL(rateInterval.String()), begin, end)
			if err != nil {
				return fmt.Errorf("%s: %w", panel.Title, err)
			}
			for _, s := range answer {
				lines = append(lines, line{q.LegendOf(s.labels), s.labels, s.points})
			}
		}
		p.panels = append(p.panels, drawn{panel, lines})
	}
	return os.WriteFile(out, p.draw(), 0o644)
}
