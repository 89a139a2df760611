// Command sarama connects sarama through redial, and sends one message:
//
//	go run ./sarama 127.0.0.1:9092 greetings
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newConfig returns a configuration whose clients dial through d. sarama goes to the next broker and retries by
// itself, so each dial makes one attempt.
func newConfig(d *redial.Dialer) *sarama.Config {
	once := *d
	once.MaxAttempts = 1
	once.Timeout = 1500 * time.Millisecond // sarama's own DialTimeout of 30 s has no effect on this dialer
	config := sarama.NewConfig()
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = &once
	// A client looks for a broker every 100 ms for 10 s. After the default, 0.75 s, messages fail, and soon sarama's circuit
	// breaker makes all messages fail for 10 s.
	config.Metadata.Retry.Max = 100
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	config.Producer.Return.Successes = true // as a SyncProducer needs it
	return config
}

// await waits until a broker answers, or ctx ends. Call it before a constructor such as sarama.NewSyncProducer: the
// constructor has no ctx.
func await(ctx context.Context, d *redial.Dialer, brokers []string) error {
	config := newConfig(d)
	config.Metadata.Retry.Max = 0
	_, err := redial.Do(ctx, d, "tcp", strings.Join(brokers, ","), func(context.Context) (struct{}, error) {
		client, err := sarama.NewClient(brokers, config)
		if err == nil {
			err = client.Close()
		}
		return struct{}{}, err
	})
	return err
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	brokers, topic := []string{"127.0.0.1:9092"}, "greetings"
	if len(os.Args) > 2 {
		brokers, topic = strings.Split(os.Args[1], ","), os.Args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d := &redial.Dialer{Logger: log}
	if err := await(ctx, d, brokers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	producer, err := sarama.NewSyncProducer(brokers, newConfig(d))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer producer.Close()
	if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("hello")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
