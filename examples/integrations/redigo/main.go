// Command redigo connects redigo through redial, and does one operation:
//
//	go run ./redigo 127.0.0.1:6379
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newPool returns a pool whose connections are dialed through d.
func newPool(d *redial.Dialer, address string) *redis.Pool {
	return &redis.Pool{
		MaxIdle: 10,
		// DialContext, not Dial: the dial ends with the ctx that GetContext is given.
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", address, redis.DialContextFunc(d.DialContext))
		},
	}
}

// get is for a pool with MaxActive. It gives the connection's place back between two attempts, so that others who want it
// learn why they wait.
func get(ctx context.Context, d *redial.Dialer, pool *redis.Pool, address string) (redis.Conn, error) {
	return redial.Do(ctx, d, "tcp", address, pool.GetContext)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:6379"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: log}
	pool := newPool(d, address)
	defer pool.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pong, err := ping(ctx, pool)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pong)
}

func ping(ctx context.Context, pool *redis.Pool) (string, error) {
	conn, err := pool.GetContext(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return redis.String(redis.DoContext(conn, ctx, "PING"))
}
