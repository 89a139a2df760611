// Command otlp exports one span to an OpenTelemetry collector, by OTLP over gRPC through redial:
//
//	go run ./otlp 127.0.0.1:4317
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/seed-33f8b841/redial"
)

// options returns the options of an exporter that dials through d. gRPC retries by itself, so d must make one attempt for
// each of gRPC's: set MaxAttempts to 1.
func options(d *redial.Dialer) []otlptracegrpc.Option {
	return []otlptracegrpc.Option{
		otlptracegrpc.WithDialOption(
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", address)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: 20 * time.Second, // gRPC's default. Timeout bounds the dial
				// gRPC would wait for 1 s before it retries, and soon for up to two minutes.
				Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			}),
			// An export waits for a connection. By default, it fails with the dial, and the exporter pauses for 5 s.
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		),
		// The defaults but for the first interval: after 5 s, an export that broke off has little of its 10 s left.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: 500 * time.Millisecond, MaxInterval: 30 * time.Second, MaxElapsedTime: time.Minute,
		}),
	}
}

// dialer returns the Dialer for options.
func dialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, MaxAttempts: 1, Logger: log}
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:4317"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	exporter, err := otlptracegrpc.New(ctx, append(options(dialer(log)), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	_, span := provider.Tracer("greeting").Start(ctx, "hello")
	span.End()
	if err := provider.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
