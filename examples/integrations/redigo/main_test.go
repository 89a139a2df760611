package main

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// operation returns an operation of the pool, which is closed when t ends.
func operation(t *testing.T, pool *redis.Pool) kit.Operation {
	t.Cleanup(func() { pool.Close() })
	return func(ctx context.Context) error {
		_, err := ping(ctx, pool)
		return err
	}
}

// alone returns a pool that dials with d.
func alone(d *net.Dialer, address string) *redis.Pool {
	return &redis.Pool{
		MaxIdle: 10,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", address, redis.DialContextFunc(d.DialContext))
		},
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "redigo",
		Server: func(t *testing.T) (*kit.Server, string) { return kit.RedisServer(t) },
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return operation(t, alone(d, addresses[0]))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return operation(t, newPool(d, addresses[0]))
		},
	}.Run(t)
}

// In a pool with MaxActive and Wait, a dial that retries keeps its place, and the others wait for it
// without a cause. With get, all learn the cause, as they do with redigo alone.
func TestMaxActive(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp4")
	refused := func(pool *redis.Pool, get func(context.Context) (redis.Conn, error)) (n int) {
		pool.MaxActive, pool.Wait = 1, true
		t.Cleanup(func() { pool.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for _, err := range testutil.Crowd(10, func(int) error { _, err := get(ctx); return err }) {
			assert.Error(t, err)
			if errors.Is(err, syscall.ECONNREFUSED) {
				n++
			}
		}
		return n
	}
	d := &redial.Dialer{Logger: zap.NewNop()}
	plain, withDo, without := alone(new(net.Dialer), address), newPool(d, address), newPool(d, address)
	assert.Equal(t, 10, refused(plain, plain.GetContext))
	assert.Equal(t, 10, refused(withDo, func(ctx context.Context) (redis.Conn, error) { return get(ctx, d, withDo, address) }))
	assert.Less(t, refused(without, without.GetContext), 10, "if all learn it, get is not needed")
}
