package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

func closing(t *testing.T, client *redis.Client) *redis.Client {
	t.Helper()
	t.Cleanup(func() { client.Close() })
	return client
}

func newClient(t *testing.T, d *redial.Dialer, address string) *redis.Client {
	t.Helper()
	return closing(t, withRetries(redis.NewClient(options(d, address)), d))
}

func ping(client *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return client.Ping(ctx).Err() }
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "Redis",
		Server: func(t *testing.T) (*kit.Server, string) { return kit.RedisServer(t) },
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return ping(closing(t, redis.NewClient(&redis.Options{
				Addr: addresses[0], Dialer: d.DialContext, ContextTimeoutEnabled: true,
			})))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			o := options(d, addresses[0])
			// After as many failed dials as its pool has places, go-redis dials once a second only. With
			// the default, ten for each CPU, a crowd would show that and not the Gate.
			o.PoolSize = 1000
			client, hook := closing(t, redis.NewClient(o)), newRetries(d, addresses[0])
			hook.dialer.Gate = d.Gate // the recipe's own hides what a Gate does
			client.AddHook(hook)
			return ping(client)
		},
	}.Run(t)
}

func TestValues(t *testing.T) {
	t.Parallel()
	server, address := kit.RedisServer(t)
	client := newClient(t, &redial.Dialer{Logger: zap.NewNop()}, address)
	server.LaunchAfter(t, 300*time.Millisecond)
	ctx := within(t, 20*time.Second)
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		return p.Set(ctx, "key", "value", 0).Err()
	})
	require.NoError(t, err)
	value, err := client.Get(ctx, "key").Result()
	assert.NoError(t, err)
	assert.Equal(t, "value", value)
	assert.ErrorIs(t, client.Get(ctx, "no key").Err(), redis.Nil)
}

// Only the Timeout of the Dialer shows that a server is silent. So the Timeout must be
// shorter than the operation's time.
func TestSilent(t *testing.T) {
	t.Parallel()
	address := testutil.ListenSilent(t, "127.0.0.1:0")
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 500 * time.Millisecond}, Logger: zap.NewNop()}
	err := ping(newClient(t, d, address))(within(t, 2*time.Second))
	t.Log(err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Timeout, failed.Class)
}

// Without the hook, the pool's dial retries, and the program learns the cause only if the dial ends
// before the program's own time does: go-redis' DialTimeout must be shorter.
func TestWithoutTheHook(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	for _, test := range []struct {
		dialTimeout time.Duration
		class       redial.Class
		stop        error
	}{
		{time.Second, redial.Refused, redial.ErrDeadline},
		{5 * time.Second, redial.Timeout, context.DeadlineExceeded},
	} {
		t.Run(test.dialTimeout.String(), func(t *testing.T) {
			t.Parallel()
			d := &redial.Dialer{Logger: zap.NewNop()}
			client := closing(t, redis.NewClient(&redis.Options{
				Addr: address, Dialer: d.DialContext, DialTimeout: test.dialTimeout,
				DialerRetries: 1, MaxRetries: -1, ContextTimeoutEnabled: true,
			}))
			err := ping(client)(within(t, 2*time.Second))
			t.Log(err)
			assert.Equal(t, test.class, redial.Classify(err))
			assert.ErrorIs(t, err, test.stop)
		})
	}
}

// go-redis' pool has a breaker of its own: it opens when as many dials have failed as the pool has
// places, and then the pool dials once a second. The commands wait all the same, and go on after it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	server, address := kit.RedisServer(t)
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop()}
	client := newClient(t, d, address)
	time.AfterFunc(3*time.Second, func() { server.Launch(t) })
	ctx := within(t, 25*time.Second)
	for _, err := range testutil.Crowd(100, func(int) error { return ping(client)(ctx) }) {
		assert.NoError(t, err)
	}
	t.Logf("%d connects, of which at most %d are the pool's", connects.Count(), client.Options().PoolSize)
	assert.Less(t, connects.Count(), 4*client.Options().PoolSize)
}

// While Redis loads its data, it accepts and answers LOADING.
func TestLoading(t *testing.T) {
	t.Parallel()
	dir := kit.Dir(t, "")
	server, address := kit.RedisServer(t, "--dir", dir, "--appendonly", "yes", "--enable-debug-command", "yes")
	server.Start(t)
	client := newClient(t, &redial.Dialer{Logger: zap.NewNop()}, address)
	ctx := within(t, 30*time.Second)
	require.NoError(t, client.Set(ctx, "key", "value", 0).Err())
	require.NoError(t, client.Do(ctx, "DEBUG", "POPULATE", "2000").Err())
	require.NoError(t, client.BgSave(ctx).Err())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "dump.rdb"))
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	server.Kill()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "appendonlydir")))
	// Redis waits this many microseconds after each key that it loads, and answers meanwhile.
	server.Args = append(server.Args, "--appendonly", "no", "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
	server.Launch(t)
	var loading error
	require.Eventually(t, func() bool {
		plain := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
		defer plain.Close()
		loading = plain.Get(ctx, "key").Err()
		return redis.IsLoadingError(loading)
	}, 10*time.Second, 5*time.Millisecond)
	t.Log(loading)
	start := time.Now()
	value, err := client.Get(ctx, "key").Result()
	t.Log(time.Since(start))
	assert.NoError(t, err)
	assert.Equal(t, "value", value)
}

// A blocking command outlives the time of an attempt.
func TestBlockingCommand(t *testing.T) {
	t.Parallel()
	server, address := kit.RedisServer(t)
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 200 * time.Millisecond}, Logger: zap.NewNop()}
	client := newClient(t, d, address)
	time.AfterFunc(300*time.Millisecond, func() { server.Launch(t) })
	assert.ErrorIs(t, client.BLPop(within(t, 20*time.Second), time.Second, "list").Err(), redis.Nil)
}

// TestSentinel kills the master for good. Sentinel makes the replica the master.
func TestSentinel(t *testing.T) {
	master, masterAddress := kit.RedisServer(t)
	master.Start(t)
	host, port, err := net.SplitHostPort(masterAddress)
	require.NoError(t, err)
	replica, replicaAddress := kit.RedisServer(t, "--replicaof", host+" "+port)
	replica.Start(t)
	var sentinels []string
	for i := range 3 {
		address := kit.FreeAddress(t)
		_, sentinelPort, err := net.SplitHostPort(address)
		require.NoError(t, err)
		config := filepath.Join(kit.Dir(t, ""), "sentinel.conf") // Sentinel writes to it
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `bind 127.0.0.1
port %s
dir %s
sentinel monitor mymaster %s %s 2
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
`, sentinelPort, filepath.Dir(config), host, port), 0o600))
		sentinel := &kit.Server{
			Path: kit.Binary(t, "redis-sentinel", "redis-sentinel"),
			Args: []string{config},
			Ready: func(ctx context.Context) error {
				client := redis.NewSentinelClient(&redis.Options{Addr: address, MaxRetries: -1})
				defer client.Close()
				replicas, err := client.Replicas(ctx, "mymaster").Result()
				if err == nil && len(replicas) == 0 {
					err = fmt.Errorf("Sentinel %d knows no replica yet", i)
				}
				return err
			},
		}
		sentinel.Start(t)
		sentinels = append(sentinels, address)
	}
	require.Eventually(t, func() bool { // the Sentinels know each other
		client := redis.NewSentinelClient(&redis.Options{Addr: sentinels[0]})
		defer client.Close()
		others, err := client.Sentinels(t.Context(), "mymaster").Result()
		return err == nil && len(others) == 2
	}, 20*time.Second, 50*time.Millisecond)

	plain := closing(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "mymaster", SentinelAddrs: sentinels, Dialer: new(net.Dialer).DialContext, ContextTimeoutEnabled: true,
	}))
	d := &redial.Dialer{Logger: zap.NewNop()}
	ours := closing(t, redis.NewFailoverClient(failoverOptions(d, "mymaster", sentinels...)))
	withRetries(ours, d)
	write := func(client *redis.Client) func(context.Context) error {
		var n atomic.Int64
		return func(ctx context.Context) error { return client.Set(ctx, "key", n.Add(1), 0).Err() }
	}
	a := &kit.Contender{Name: "net.Dialer, with go-redis' retries", Do: write(plain)}
	b := &kit.Contender{Name: "redial", Do: write(ours)}
	kit.Through(t, func() {
		master.Kill()
		require.Eventually(t, func() bool {
			client := redis.NewClient(&redis.Options{Addr: replicaAddress})
			defer client.Close()
			return client.Set(t.Context(), "other", 1, 0).Err() == nil
		}, 30*time.Second, 20*time.Millisecond)
	}, a, b)
	assert.LessOrEqual(t, b.Failed.Load(), a.Failed.Load())
	assert.Zero(t, b.Failed.Load())
}
