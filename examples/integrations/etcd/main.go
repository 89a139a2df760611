// Command etcd connects the etcd client through redial, and gets one key:
//
//	go run ./etcd http://127.0.0.1:2379
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/seed-33f8b841/redial"
)

// config returns the configuration of a client that dials through d. gRPC, within the client, retries by itself: set
// MaxAttempts to 1.
func config(d *redial.Dialer, log *zap.Logger, endpoints ...string) clientv3.Config {
	return clientv3.Config{
		Endpoints: endpoints,
		Logger:    log, // the client logs why a request has failed; the request itself fails with the error of its ctx
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", address)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: 20 * time.Second, // gRPC's default. Timeout bounds the dial
				// gRPC would wait for 1 s before it retries, and soon for up to two minutes.
				Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			}),
		},
	}
}

// dialer returns the Dialer for config.
func dialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, MaxAttempts: 1, Logger: log}
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	endpoint := "http://127.0.0.1:2379"
	if len(os.Args) > 1 {
		endpoint = os.Args[1]
	}
	client, err := clientv3.New(config(dialer(log), log, endpoint))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	values, err := client.Get(ctx, "greeting")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(values.Count)
}
