// Command grpc connects gRPC through redial, and asks the server for its health:
//
//	go run ./grpc 127.0.0.1:50051
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/seed-33f8b841/redial"
)

// A connection attempt of gRPC consists of a dial, which makes many attempts, and of the handshakes. It ends after
// connectTimeout. A call hears why it has failed if the deadline of the call is later.
const (
	connectTimeout = 3 * time.Second
	dialTimeout    = connectTimeout - time.Second // leaves a second for the handshakes
)

// options returns the options of a client that dials through d.
func options(d *redial.Dialer) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: connectTimeout,
			// The dial has backed off already. gRPC would wait for up to two minutes before the next.
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
		}),
		// A call waits until its deadline. By default, it fails when a dial has failed.
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	}
}

// target returns what to give to grpc.NewClient for a server's address: with the scheme passthrough, the Dialer
// resolves the name, for each attempt anew.
func target(address string) string { return "passthrough:///" + address }

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:50051"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	conn, err := grpc.NewClient(target(address), options(&redial.Dialer{MaxElapsed: dialTimeout, Logger: log})...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	health, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(health.GetStatus())
}
