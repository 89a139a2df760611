// Command kafka connects franz-go through redial, and produces one record:
//
//	go run ./kafka 127.0.0.1:9092 greetings
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// options returns the options of a client that dials through d. franz-go goes to the next broker and retries by itself,
// so each dial makes one attempt.
func options(d *redial.Dialer, brokers ...string) []kgo.Opt {
	once := *d
	once.MaxAttempts = 1
	once.Timeout = 1500 * time.Millisecond
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.Dialer(once.DialContext),
		// The client asks a broker for metadata before it produces again. It would wait for up to 5 s before it asks.
		kgo.MetadataMinAge(250 * time.Millisecond),
		// Before it goes to the next broker, it would wait for 250 ms, and soon for up to 5 s.
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			wait := min(time.Duration(max(tries, 1))*100*time.Millisecond, time.Second)
			return wait/2 + rand.N(wait)
		}),
	}
}

// ping waits until a broker answers, or ctx ends. Records wait by themselves, but a request fails when the client has
// asked each broker once.
func ping(ctx context.Context, d *redial.Dialer, client *kgo.Client, brokers ...string) error {
	_, err := redial.Do(ctx, d, "tcp", strings.Join(brokers, ","), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, client.Ping(ctx)
	})
	return err
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	broker, topic := "127.0.0.1:9092", "greetings"
	if len(os.Args) > 2 {
		broker, topic = os.Args[1], os.Args[2]
	}
	d := &redial.Dialer{Logger: log}
	client, err := kgo.NewClient(options(d, broker)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ping(ctx, d, client, broker); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("hello")}).FirstErr(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
