package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
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

func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &kit.Server{
		Path:  kit.Binary(t, "memcached", "memcached"),
		Args:  []string{"-l", "127.0.0.1", "-p", port, "-U", "0"},
		User:  "memcache", // memcached refuses to run as root
		Ready: func(context.Context) error { return memcache.New(address).Ping() },
	}, address
}

// resolved returns the addresses as gomemcache resolves them when it is made, but by the
// resolver: it asks once, and takes the first address of a name.
func resolved(t *testing.T, resolver *net.Resolver, addresses ...string) []string {
	t.Helper()
	var all []string
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		ips, err := resolver.LookupNetIP(t.Context(), "ip4", host)
		require.NoError(t, err)
		all = append(all, net.JoinHostPort(ips[0].Unmap().String(), port))
	}
	return all
}

// keys returns a key for each of the servers.
func keys(t *testing.T, servers ...string) []string {
	t.Helper()
	list := new(memcache.ServerList)
	require.NoError(t, list.SetServers(servers...))
	all := make([]string, len(servers))
	for n := range 100 {
		key := fmt.Sprint("key", n)
		server, err := list.PickServer(key)
		require.NoError(t, err)
		all[slices.Index(servers, server.String())] = key
	}
	require.NotContains(t, all, "")
	return all
}

// operation returns an operation of a client. With one server, it stores a value. With several, of
// which the last is up, it asks all of them and needs the last one's answer.
func operation(t *testing.T, c *memcache.Client, servers []string, do func(ctx context.Context, key string, operation func() error) error) kit.Operation {
	c.MaxIdleConns = 10 // the goroutines of the outage
	keys := keys(t, servers...)
	last := keys[len(keys)-1]
	return func(ctx context.Context) error {
		err := do(ctx, last, func() error { return c.Set(&memcache.Item{Key: last, Value: []byte("hello")}) })
		if err != nil || len(servers) == 1 {
			return err
		}
		items, err := c.GetMulti(keys)
		if items[last] != nil {
			return nil
		}
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "gomemcache",
		Hosts:  true,
		Server: newServer,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			servers := resolved(t, d.Resolver, addresses...)
			c := memcache.New(servers...)
			c.DialContext = d.DialContext
			return operation(t, c, servers, func(_ context.Context, _ string, operation func() error) error { return operation() })
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			servers := resolved(t, d.Resolver, addresses...)
			c, err := newClient(d, servers...)
			require.NoError(t, err)
			return operation(t, c.Client, servers, c.wait)
		},
	}.Run(t)
}

// Without wait, an operation fails at once, with the plain error of the dial.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp4")
	c, err := newClient(&redial.Dialer{Logger: zap.NewNop()}, address)
	require.NoError(t, err)
	kit.Promptly(t, func() time.Duration {
		start := time.Now()
		_, err = c.Get("key")
		return time.Since(start)
	})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	var failed *redial.Error
	assert.NotErrorAs(t, err, &failed)
}

// gomemcache replaces each error of a dial whose Timeout is true, also with redial. An error of a refused
// dial that ran out of time keeps its cause, because its Timeout is false.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]redial.Class{
		testutil.RefusingAddress(t, "tcp4"):     redial.Refused,
		testutil.ListenSilent(t, "127.0.0.1:0"): redial.Timeout,
	} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			d := &redial.Dialer{Logger: zap.NewNop()}
			retrying := memcache.New(address)
			retrying.DialContext = d.DialContext
			_, err := retrying.Get("key")
			t.Log(err)
			var timeout *memcache.ConnectTimeoutError
			assert.Equal(t, want == redial.Timeout, assert.ErrorAs(new(testing.T), err, &timeout))
			assert.Equal(t, want == redial.Refused, redial.Classify(err) == redial.Refused)

			c, err := newClient(d, address)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err = c.wait(ctx, "key", func() error { _, err := c.Get("key"); return err })
			t.Log(err)
			var failed *redial.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, want, failed.Class)
			assert.Greater(t, failed.Attempts, 1)
		})
	}
}

// What memcached answers is not retried, and wait returns it as it is.
func TestAnswers(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	c, err := newClient(&redial.Dialer{Logger: zap.NewNop()}, address)
	require.NoError(t, err)
	calls := 0
	err = c.wait(t.Context(), "no key", func() error {
		calls++
		_, err := c.Get("nokey")
		return err
	})
	assert.Equal(t, memcache.ErrCacheMiss, err)
	assert.Equal(t, 1, calls)
}
