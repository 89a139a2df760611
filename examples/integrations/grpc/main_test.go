package main

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
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

// plainOptions are the options of a client that has nothing of redial.
var plainOptions = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}

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

func newDialer() *redial.Dialer {
	return dialer(zap.NewNop())
}

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	server := kit.Self(t, address)
	alone := append(plainOptions, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	start := time.Now()
	server.LaunchAfter(t, 2*time.Second)
	var waiting sync.WaitGroup
	for name, o := range map[string][]grpc.DialOption{"gRPC alone": alone, "redial": options(newDialer())} {
		check := newClient(t, target(address), o)
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			assert.NoError(t, check(ctx), name)
			t.Log(name, time.Since(start))
		})
	}
	waiting.Wait()
}

func TestOutage(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	server := kit.Self(t, address)
	server.Start(t)
	plain := &kit.Contender{Name: "net.Dialer", Do: newClient(t, target(address), plainOptions)}
	waiting := &kit.Contender{
		Name: "net.Dialer with WaitForReady",
		Do:   newClient(t, target(address), append(plainOptions, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))),
	}
	ours := &kit.Contender{Name: "redial", Do: newClient(t, target(address), options(newDialer()))}
	kit.Outage(t, server, plain, waiting, ours)
	assert.Less(t, ours.Failed.Load(), plain.Failed.Load())
	assert.LessOrEqual(t, ours.Failed.Load(), int64(30), "only the calls in flight fail when the server dies")
}

// A call does not return the error of the dial. Its text has the cause, and the log has the class.
func TestNeverUp(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	var connects kit.Connects
	var attempts kit.Attempts
	core, logs := observer.New(zap.InfoLevel)
	d := newDialer()
	d.Control, d.OnAttempt, d.Logger = connects.Control, attempts.Add, zap.New(core)
	check := newClient(t, target(address), options(d))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	err := check(ctx)
	took := time.Since(start)
	t.Log(took, connects.Count(), err)

	require.Error(t, err)
	assert.Less(t, took, 5*time.Second)
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
	assert.ErrorContains(t, err, "connect: connection refused")
	var failed *redial.Error
	assert.NotErrorAs(t, err, &failed, "the docs say that gRPC keeps the text only")
	failures := logs.FilterMessage("dial failed").All()
	require.NotEmpty(t, failures)
	assert.Equal(t, "refused", failures[0].ContextMap()["class"])
	for _, a := range attempts.All() {
		assert.Equal(t, redial.Refused, a.Class)
	}
	assert.LessOrEqual(t, connects.Count(), 24, "about eight dials, and no retries within them")
}

// Calls of one client share its connection. Fifty clients of the program do not.
func TestGate(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	count := func(gate *redial.Gate) int {
		var connects kit.Connects
		d := newDialer()
		d.Control, d.Gate = connects.Control, gate
		checks := make([]func(context.Context) error, 50)
		for i := range checks {
			checks[i] = newClient(t, target(address), options(d))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for _, err := range testutil.Crowd(len(checks), func(i int) error { return checks[i](ctx) }) {
			assert.ErrorContains(t, err, "connection refused")
		}
		return connects.Count()
	}
	without, with := count(nil), count(new(redial.Gate))
	t.Logf("connects: %d without a Gate, %d with a Gate", without, with)
	assert.Less(t, with, without/2)
}
