package redialotel_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/redialotel"
)

func Example() {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))

	d := &redial.Dialer{
		DialFunc: func(context.Context, string, string) (net.Conn, error) { return nil, refusal() },
		Policy:   redial.Policy{redial.Refused: redial.Exponential(time.Millisecond, time.Millisecond)},
		Logger:   zap.NewNop(),
	}
	d.MaxAttempts = 2
	t := redialotel.New(redialotel.Opts{Name: "postgres", TracerProvider: provider})
	t.Instrument(d)
	d.Dial("tcp", "db.example:5432")

	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name, span.Status.Code)
		for _, kv := range span.Attributes {
			fmt.Printf("  %s: %s\n", kv.Key, kv.Value.String())
		}
	}
	// Output:
	// connect Error
	//   redial.attempt.number: 1
	//   redial.outcome: failed
	//   error.type: refused
	// connect Error
	//   redial.attempt.number: 2
	//   redial.outcome: failed
	//   error.type: refused
	// dial postgres Error
	//   server.address: db.example
	//   server.port: 5432
	//   network.transport: tcp
	//   redial.dialer.name: postgres
	//   redial.attempt.count: 2
	//   redial.outcome: failed
	//   error.type: refused
	//   redial.dial.stop_reason: max_attempts
}

func ExampleNew() {
	d := &redial.Dialer{}
	t := redialotel.New(redialotel.Opts{
		Name:           "postgres", // what d connects to
		TracerProvider: nil,        // nil: otel.GetTracerProvider()
		MeterProvider:  nil,        // nil: otel.GetMeterProvider()
	})
	t.Instrument(d) // calls d.OnDial, d.OnAttempt and d.OnLost too, if they are set

	client := &http.Client{Transport: otelhttp.NewTransport(redial.NewTransport(d, nil))}
	_ = client
}
