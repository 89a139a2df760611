// Command kafkago connects kafka-go through redial, and writes one message:
//
//	go run ./kafkago 127.0.0.1:9092 greetings
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// once returns a copy of d whose dials make one attempt: kafka-go goes to the next broker by itself, and gives
// itself 5 s for all of them.
func once(d *redial.Dialer) *redial.Dialer {
	one := *d
	one.MaxAttempts = 1
	one.Timeout = 1500 * time.Millisecond
	return &one
}

// newWriter returns a Writer that dials through d.
func newWriter(d *redial.Dialer, brokers ...string) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(brokers...),
		Transport: &kafka.Transport{
			Dial:        once(d).DialContext,
			MetadataTTL: 2 * time.Second, // a Writer that has found no broker fails until it looks again, by default after up to 6 s
		},
		BatchTimeout: 10 * time.Millisecond, // by default, a message waits for 1 s for others
	}
}

// write writes messages. It waits for the brokers if none has been up yet; then WriteMessages fails at once. Once it has
// found them, the Writer retries by itself.
func write(ctx context.Context, d *redial.Dialer, w *kafka.Writer, messages ...kafka.Message) error {
	var err error
	_, failed := redial.Do(ctx, d, "tcp", w.Addr.String(), func(context.Context) (struct{}, error) {
		// The Writer goes on after an attempt's context has ended, and another attempt would write the messages twice.
		err = w.WriteMessages(ctx, messages...)
		if _, ok := err.(kafka.WriteErrors); ok {
			return struct{}{}, nil
		}
		return struct{}{}, err
	})
	if failed != nil {
		return failed
	}
	return err
}

// newReader returns a Reader that dials through d.
func newReader(d *redial.Dialer, topic string, brokers ...string) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers,
		Topic:   topic,
		Dialer:  &kafka.Dialer{DialFunc: once(d).DialContext, Timeout: 10 * time.Second},
	})
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	brokers, topic := "127.0.0.1:9092", "greetings"
	if len(os.Args) > 2 {
		brokers, topic = os.Args[1], os.Args[2]
	}
	d := &redial.Dialer{Logger: log}
	writer := newWriter(d, strings.Split(brokers, ",")...)
	writer.Topic = topic
	defer writer.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := write(ctx, d, writer, kafka.Message{Value: []byte("hello")}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
