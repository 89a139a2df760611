// Command redis connects go-redis through redial, and does one operation. It reconnects through
// Sentinel if it is given the master's name and the Sentinels:
//
//	go run ./redis 127.0.0.1:6379
//	go run ./redis mymaster 127.0.0.1:26379 127.0.0.1:26380
package main

import (
	"context"
	"fmt"
	"net"
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
		Dialer: dialOnce(d),
		// go-redis would dial 5 times for each try of a command, and try each command 4 times.
		DialerRetries: 1,
		MaxRetries:    -1,
		// go-redis gives up an operation by its context only if it is told to.
		ContextTimeoutEnabled: true,
	}
}

// failoverOptions is options for the master that Sentinels name.
func failoverOptions(d *redial.Dialer, master string, sentinels ...string) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName:            master,
		SentinelAddrs:         sentinels,
		Dialer:                dialOnce(d), // to the Sentinels and to the master
		DialerRetries:         1,
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
	}
}

// dialOnce returns the function with which the pool dials. The pool detaches a dial from the command
// that needs the connection, and drops the values of its context too, so that Attach does not reach
// the dial. A dial that retried would go on without the command, and keep its place in the pool. So
// the pool's dials classify and log only, and the hook retries the commands.
func dialOnce(d *redial.Dialer) func(context.Context, string, string) (net.Conn, error) {
	once := *d
	once.MaxAttempts = 1
	once.Gate = nil // the commands wait at it
	return once.DialContext
}

// withRetries adds the hook that retries the commands of client.
func withRetries(client *redis.Client, d *redial.Dialer) *redis.Client {
	client.AddHook(newRetries(d, client.Options().Addr))
	return client
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
	client := redis.NewClient(options(d, address))
	if len(os.Args) > 2 {
		client = redis.NewFailoverClient(failoverOptions(d, address, os.Args[2:]...))
	}
	withRetries(client, d)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pong, err := client.Ping(ctx).Result()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pong)
}
