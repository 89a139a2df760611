// Command redis connects go-redis through redial, and does one operation:
//
//	go run ./redis 127.0.0.1:6379
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// options returns the options of a client that dials through d.
func options(d *redial.Dialer, address string) *redis.Options {
	return &redis.Options{
		Addr:   address,
		Dialer: d.DialContext,
		// go-redis would dial 5 times for each operation, and try each operation 4 times.
		DialerRetries: 1,
		MaxRetries:    1,
		// go-redis gives up an operation by its context only if it is told to.
		ContextTimeoutEnabled: true,
	}
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
	client := redis.NewClient(options(&redial.Dialer{Logger: log}, address))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pong, err := client.Ping(redial.Attach(ctx)).Result()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pong)
}
