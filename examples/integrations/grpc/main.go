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

// options returns the options of a client that dials through d. gRPC retries and goes to the next address by
// itself, also if a server hangs up after it has accepted. So d must make one attempt for each of gRPC's: set
// MaxAttempts to 1.
func options(d *redial.Dialer) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: 20 * time.Second, // gRPC's default. Timeout bounds the dial
			// gRPC would wait for 1 s before it retries, and soon for up to two minutes.
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		}),
		// A call waits until its deadline. By default, it fails when a dial has failed.
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	}
}

// dialer returns the Dialer for options.
func dialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, MaxAttempts: 1, Logger: log}
}

// target returns what to give to grpc.NewClient for a server's address: with the scheme dns, which is the default,
// gRPC knows all addresses of a name.
func target(address string) string { return "dns:///" + address }

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
	conn, err := grpc.NewClient(target(address), options(dialer(log))...)
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
