package redialprom_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/redialprom"
)

func Example() {
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: time.Second}, Logger: zap.NewNop()}
	d.DialFunc = dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK, dialtest.NXDomain).DialContext // a server that restarts
	m := redialprom.New(redialprom.Opts{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	m.Instrument(d, "postgres") // sets d.OnDial, d.OnAttempt and d.OnLost, and calls the ones that were there
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	d.Dial("tcp", "db.example:5432")
	d.Dial("tcp", "db.exmaple:5432")
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if counter := metric.GetCounter(); counter.GetValue() > 0 {
				var labels []string
				for _, label := range metric.GetLabel() {
					labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
				}
				fmt.Printf("%s{%s} %v\n", family.GetName(), strings.Join(labels, ","), counter.GetValue())
			}
		}
	}
	// Output:
	// redial_addresses_tried_total{dialer="postgres",family="ipv4",outcome="ok"} 1
	// redial_addresses_tried_total{dialer="postgres",family="ipv4",outcome="refused"} 2
	// redial_attempts_total{dialer="postgres",outcome="not_found"} 1
	// redial_attempts_total{dialer="postgres",outcome="ok"} 1
	// redial_attempts_total{dialer="postgres",outcome="refused"} 2
	// redial_dials_stopped_total{dialer="postgres",stop="permanent"} 1
	// redial_dials_total{dialer="postgres",outcome="not_found"} 1
	// redial_dials_total{dialer="postgres",outcome="ok"} 1
}

// An exemplar leads from a histogram to a trace, here of OpenTelemetry. Serve the metrics as OpenMetrics, because the older format
// has no exemplars.
func ExampleOpts_exemplar() {
	m := redialprom.New(redialprom.Opts{Exemplar: func(ctx context.Context) prometheus.Labels {
		// trace.SpanContextFromContext(ctx), if it is sampled, has the TraceID.
		if id, ok := ctx.Value(traceKey{}).(string); ok {
			return prometheus.Labels{"trace_id": id}
		}
		return nil
	}})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	http.Handle("/openmetrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	// Output:
}

// traceKey stands for the key of a trace in a context.
type traceKey struct{}

// With Do, each connection counts once: the dial within connect is part of Do's attempt.
func ExampleMetrics_Instrument_do() {
	d := &redial.Dialer{Logger: zap.NewNop()}
	d.DialFunc = dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK).DialContext // a server that restarts
	m := redialprom.New(redialprom.Opts{})

	m.Instrument(d, "postgres")
	conn, err := redial.Do(context.Background(), d, "tcp", "db.example:5432", func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", "db.example:5432") // and log in
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if count := metric.GetCounter().GetValue(); count > 0 {
				fmt.Println(family.GetName(), count)
			}
		}
	}
	// Output:
	// redial_addresses_tried_total 1
	// redial_addresses_tried_total 2
	// redial_attempts_total 1
	// redial_attempts_total 2
	// redial_dials_total 1
	// redial_nested_dials_total 1
	// redial_nested_dials_total 2
}
