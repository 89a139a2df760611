// Command kafka connects franz-go through redial, and produces one record:
//
//	go run ./kafka 127.0.0.1:9092 greetings
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// options returns the options of a client that dials through d.
func options(d *redial.Dialer, brokers ...string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.Dialer(d.DialContext),
		// The client asks a broker for metadata before it produces again. It would wait for up to 5 s before it asks.
		kgo.MetadataMinAge(250 * time.Millisecond),
	}
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
	// The client tries the next broker when a dial has failed: a dial must not take long.
	d := &redial.Dialer{MaxElapsed: 2 * time.Second, Logger: log}
	client, err := kgo.NewClient(options(d, broker)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("hello")}).FirstErr(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
