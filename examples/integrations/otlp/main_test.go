package main

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a collector that accepts each span and forgets it. It knows traces only, and neither TLS nor compression.
func serve(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(server, collector{})
	return server.Serve(ln)
}

type collector struct {
	tracepb.UnimplementedTraceServiceServer
}

func (collector) Export(context.Context, *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	return &tracepb.ExportTraceServiceResponse{}, nil
}

// newExporter returns an operation that exports one span.
func newExporter(t *testing.T, target string, o ...otlptracegrpc.Option) kit.Operation {
	t.Helper()
	exporter, err := otlptracegrpc.New(t.Context(), append(o, otlptracegrpc.WithEndpoint(target), otlptracegrpc.WithInsecure())...)
	require.NoError(t, err)
	t.Cleanup(func() { exporter.Shutdown(context.Background()) })
	spans := tracetest.SpanStubs{{Name: "hello"}}.Snapshots()
	return func(ctx context.Context) error { return exporter.ExportSpans(ctx, spans) }
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "otlptracegrpc",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return newExporter(t, kit.GRPCTarget(t, d.Resolver, addresses[0]),
				otlptracegrpc.WithDialOption(grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
					return d.DialContext(ctx, "tcp", address)
				})))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			recipe := dialer(d.Logger)
			d.Timeout, d.MaxAttempts = recipe.Timeout, recipe.MaxAttempts
			return newExporter(t, kit.GRPCTarget(t, d.Resolver, addresses[0]), options(d)...)
		},
		Untyped: true,
		Shares:  true,
	}.Run(t)
}
