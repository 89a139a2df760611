package main

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/broker"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { broker.Main(m) }

// send returns an operation that sends a message. The first operations wait for the producer that open
// returns, which one of them makes.
func send(t *testing.T, open func(ctx context.Context) (sarama.SyncProducer, error)) kit.Operation {
	var mu sync.Mutex
	var producer sarama.SyncProducer
	t.Cleanup(func() {
		if producer != nil {
			go producer.Close()
		}
	})
	return func(ctx context.Context) error {
		mu.Lock()
		if producer == nil {
			made, err := open(ctx)
			if err != nil {
				mu.Unlock()
				return err
			}
			producer = made
		}
		mu.Unlock()
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: broker.Topic, Value: sarama.StringEncoder("hello")})
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "sarama",
		Hosts:  true,
		Shares: true,
		Server: broker.New,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			config := sarama.NewConfig()
			config.Net.Proxy.Enable = true
			config.Net.Proxy.Dialer = d
			config.Producer.Return.Successes = true
			return send(t, func(context.Context) (sarama.SyncProducer, error) {
				return sarama.NewSyncProducer(addresses, config)
			})
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return send(t, func(ctx context.Context) (sarama.SyncProducer, error) {
				if err := await(ctx, d, addresses); err != nil {
					return nil, err
				}
				return sarama.NewSyncProducer(addresses, newConfig(d))
			})
		},
	}.Run(t)
}

// After a longer outage, sarama's circuit breaker makes all messages fail for 10 s. With the recipe's
// Metadata.Retry, it does not open.
func TestBreaker(t *testing.T) {
	t.Parallel()
	server, address := broker.New(t)
	server.Start(t)
	d := &redial.Dialer{Logger: zap.NewNop()}
	producer := func(set func(*sarama.Config)) kit.Operation {
		return send(t, func(context.Context) (sarama.SyncProducer, error) {
			config := newConfig(d)
			set(config)
			return sarama.NewSyncProducer([]string{address}, config)
		})
	}
	few := &kit.Contender{Name: "Metadata.Retry of sarama", Do: producer(func(c *sarama.Config) {
		c.Metadata.Retry = sarama.NewConfig().Metadata.Retry
	})}
	many := &kit.Contender{Name: "Metadata.Retry of the recipe", Do: producer(func(*sarama.Config) {})}
	kit.Through(t, func() {
		server.Kill()
		time.Sleep(4 * time.Second)
		server.Start(t)
	}, few, many)
	assert.NotZero(t, few.Failed.Load(), "if none fails, Metadata.Retry can stay as it is")
	assert.LessOrEqual(t, many.Failed.Load(), int64(20))
}

// await returns before ctx ends, says what sarama alone says, and the class too.
func TestAwait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := await(ctx, &redial.Dialer{Logger: zap.NewNop()}, []string{testutil.RefusingAddress(t, "tcp4")})
	assert.ErrorIs(t, err, sarama.ErrOutOfBrokers)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorIs(t, err, redial.ErrDeadline)
	assert.Equal(t, redial.Refused, redial.Classify(err))
}
