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

// A connection attempt of gRPC consists of a dial, which makes many attempts, and of the handshakes. It ends after
// connectTimeout.
const (
	connectTimeout = 3 * time.Second
	dialTimeout    = connectTimeout - time.Second // leaves a second for the handshakes
)

// config returns the configuration of a client that dials through d.
func config(d *redial.Dialer, log *zap.Logger, endpoints ...string) clientv3.Config {
	return clientv3.Config{
		Endpoints: endpoints,
		Logger:    log, // the client logs why a request has failed; the request itself fails with the error of its ctx
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", address)
			}),
			grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: connectTimeout,
				// The dial has backed off already. gRPC would wait for up to two minutes before the next.
				Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			}),
		},
	}
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
	client, err := clientv3.New(config(&redial.Dialer{MaxElapsed: dialTimeout, Logger: log}, log, endpoint))
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
