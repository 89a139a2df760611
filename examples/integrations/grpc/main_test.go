package main

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a server that has the health service only.
func serve(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server.Serve(ln)
}

// newClient returns a function that makes one call.
func newClient(t *testing.T, target string, o []grpc.DialOption) func(context.Context) error {
	t.Helper()
	conn, err := grpc.NewClient(target, o...)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	client := healthpb.NewHealthClient(conn)
	return func(ctx context.Context) error {
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "gRPC",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return newClient(t, kit.GRPCTarget(t, d.Resolver, addresses[0]), []grpc.DialOption{
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
					return d.DialContext(ctx, "tcp", address)
				}),
			})
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			recipe := dialer(d.Logger)
			d.Timeout, d.MaxAttempts = recipe.Timeout, recipe.MaxAttempts
			return newClient(t, kit.GRPCTarget(t, d.Resolver, addresses[0]), options(d))
		},
		Untyped: true,
		Shares:  true,
	}.Run(t)
}

// A call that waits for its deadline keeps the text of the dial's error only.
func TestError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := newClient(t, target(testutil.RefusingAddress(t, "tcp")), options(dialer(zap.NewNop())))(ctx)
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
	assert.ErrorContains(t, err, "connect: connection refused")
	var failed *redial.Error
	assert.NotErrorAs(t, err, &failed)
	assert.NotErrorIs(t, err, syscall.ECONNREFUSED)
}

// gRPC goes to the next address when a dial has failed, and 250 ms after the last one began. So retries at an address
// would cost that much for each that refuses.
func TestManyRefuse(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	kit.Self(t, address).Start(t)
	dns := dnstest.Start(t, kit.FreeAddress(t))
	dns.Set("service.test", dnstest.Addrs("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	kit.Promptly(t, func() time.Duration {
		call := newClient(t, kit.GRPCTarget(t, dns.Resolver(), net.JoinHostPort("service.test", port)), options(dialer(zap.NewNop())))
		start := time.Now()
		assert.NoError(t, call(ctx))
		return time.Since(start)
	})
}

// With the scheme passthrough, gRPC knows one address only. If a server hangs up after it has accepted, gRPC dials that
// again, and the Dialer cannot know that the address was of no use.
func TestPassthrough(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	testutil.Listen(t, "tcp", net.JoinHostPort("127.0.0.2", port), func(net.Conn) {})
	kit.Self(t, address).Start(t)
	dns := dnstest.Start(t, kit.FreeAddress(t))
	dns.Set("service.test", dnstest.Addrs("127.0.0.2", "127.0.0.1"))
	d := dialer(zap.NewNop())
	d.Resolver = dns.Resolver()
	name := net.JoinHostPort("service.test", port)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	assert.NoError(t, newClient(t, kit.GRPCTarget(t, d.Resolver, name), options(d))(ctx))
	assert.Error(t, newClient(t, "passthrough:///"+name, options(d))(ctx))
}
