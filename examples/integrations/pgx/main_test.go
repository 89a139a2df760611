package main

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	testutil.Main(m)
}

// newCluster returns a PostgreSQL server that has not been started.
func newCluster(t *testing.T) *kit.Postgres {
	t.Helper()
	return newClusterAt(t, kit.FreeAddress(t), "-c", "hot_standby=off")
}

func newClusterAt(t *testing.T, address string, settings ...string) *kit.Postgres {
	t.Helper()
	return kit.NewPostgres(t, address, func(ctx context.Context, connString string) error {
		conn, err := pgx.Connect(ctx, connString)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}, settings...)
}

var connString = kit.PostgresConnString

// configFor returns the configuration of a connection through d.
func configFor(t *testing.T, d *redial.Dialer, connString string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(connString)
	require.NoError(t, err)
	dialThrough(d, config)
	return config
}

func openPool(t *testing.T, d *redial.Dialer, connString string) *pgxpool.Pool {
	t.Helper()
	pool, err := newPool(t.Context(), d, connString)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// An operation is what a program does with one of the ways to connect.
type operation = func(ctx context.Context) error

const query = "SELECT 1"

// These return the operations of the four ways that main.go has: connect, a pool whose operations
// are not retried as a whole (byPool), a pool whose Acquire is (byAcquire), and database/sql.

func byConnect(t *testing.T, d *redial.Dialer, connString string) operation {
	config := configFor(t, d, connString)
	return func(ctx context.Context) error {
		conn, err := connect(ctx, d, config)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, query)
		return err
	}
}

func byPool(t *testing.T, d *redial.Dialer, connString string) operation {
	pool := openPool(t, d, connString)
	return func(ctx context.Context) error {
		_, err := pool.Exec(redial.Attach(ctx), query)
		return err
	}
}

func byAcquire(t *testing.T, d *redial.Dialer, connString string) operation {
	pool := openPool(t, d, connString)
	return func(ctx context.Context) error {
		conn, err := acquire(ctx, d, pool)
		if err != nil {
			return err
		}
		defer conn.Release()
		_, err = conn.Exec(ctx, query)
		return err
	}
}

func byDB(t *testing.T, d *redial.Dialer, connString string) operation {
	db := openDB(d, configFor(t, d, connString))
	t.Cleanup(func() { db.Close() })
	return execIn(db)
}

func execIn(db *sql.DB) operation {
	return func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, query)
		return err
	}
}

var ways = map[string]func(*testing.T, *redial.Dialer, string) operation{
	"connect": byConnect, "pool": byPool, "acquire": byAcquire, "database/sql": byDB,
}

func TestSuite(t *testing.T) {
	to := func(addresses []string, settings string) string { // the hosts of a Suite have one port
		var hosts []string
		for _, address := range addresses {
			host, _, err := net.SplitHostPort(address)
			require.NoError(t, err)
			hosts = append(hosts, host)
		}
		return connString(addresses[0], "host="+strings.Join(hosts, ",")+" "+settings)
	}
	const ofPool = "pool_max_conns=50"
	config := func(t *testing.T, d *net.Dialer, addresses []string) *pgxpool.Config {
		config, err := pgxpool.ParseConfig(to(addresses, ofPool))
		require.NoError(t, err)
		config.ConnConfig.DialFunc = d.DialContext
		if d.Resolver != nil {
			config.ConnConfig.LookupFunc = d.Resolver.LookupHost
		}
		return config
	}
	pool := func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
		pool, err := pgxpool.NewWithConfig(t.Context(), config(t, d, addresses))
		require.NoError(t, err)
		t.Cleanup(func() { go pool.Close() }) // it would wait for a mute server
		return func(ctx context.Context) error {
			_, err := pool.Exec(ctx, query)
			return err
		}
	}
	db := func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
		c := config(t, d, addresses)
		db := stdlib.OpenDB(*c.ConnConfig)
		t.Cleanup(func() { go db.Close() })
		db.SetMaxIdleConns(10)
		return execIn(db)
	}
	var suites []kit.Suite
	for _, client := range []struct {
		name, way, settings string
		alone               func(*testing.T, *net.Dialer, ...string) kit.Operation
		noGate              string
	}{
		{"pgxpool, `Attach`", "pool", ofPool, pool, ""},
		{"pgxpool, `acquire`", "acquire", ofPool, pool, "acquire needs its own pass and the pool's at one Gate"},
		{"database/sql over pgx", "database/sql", "", db, ""},
	} {
		suites = append(suites, kit.Suite{
			Client: client.name,
			Server: func(t *testing.T) (*kit.Server, string) {
				server := newCluster(t)
				return server.Server, server.Address
			},
			Hosts: true,
			Alone: client.alone,
			Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
				d.Timeout, d.Classifier = time.Second, startingUp
				return ways[client.way](t, d, to(addresses, client.settings))
			},
			NoGate:   client.noGate,
			DialOnly: client.way == "pool",
		})
	}
	kit.RunSuites(t, suites...)
}

// TestStartingUp has a server that accepts and answers 57P03 until it is promoted: a standby that
// admits no queries.
func TestStartingUp(t *testing.T) {
	t.Parallel()
	server := newCluster(t)
	require.NoError(t, os.WriteFile(filepath.Join(server.Data, "standby.signal"), nil, 0o600))
	ready := server.Ready
	server.Ready = func(ctx context.Context) error {
		err := ready(ctx)
		if startingUp(err) == redial.Refused {
			return nil
		}
		return errors.Join(errors.New("not starting up"), err)
	}
	server.Start(t)

	// A dial alone succeeds, so that the program sees the error at once.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	plain := configFor(t, &redial.Dialer{Logger: zap.NewNop()}, connString(server.Address, ""))
	_, err := pgx.ConnectConfig(ctx, plain)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "57P03", e.Code)
	err = byPool(t, &redial.Dialer{Classifier: startingUp, Logger: zap.NewNop()}, connString(server.Address, ""))(ctx)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "57P03", e.Code)

	var waiting sync.WaitGroup
	for _, name := range []string{"connect", "acquire", "database/sql"} {
		var attempts kit.Attempts
		d := &redial.Dialer{Classifier: startingUp, Logger: zap.NewNop(), OnAttempt: attempts.Add}
		do := ways[name](t, d, connString(server.Address, ""))
		waiting.Go(func() {
			assert.NoError(t, do(ctx), name)
			refused := 0
			for _, a := range attempts.All() {
				if a.Class == redial.Refused {
					refused++
				}
			}
			assert.Greater(t, refused, 1, name)
			t.Logf("%s: 57P03 %d times", name, refused)
		})
	}
	time.Sleep(1500 * time.Millisecond)
	kit.Run(t, kit.PostgresUser, filepath.Join(server.Bin, "pg_ctl"), "promote", "-D", server.Data)
	waiting.Wait()
}

// TestPreferTLS has pgx dial twice: with TLS, and then without.
func TestPreferTLS(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context, *redial.Dialer, *pgx.ConnConfig) (*pgx.Conn, error){
		"connect": connect,
		"without Do": func(ctx context.Context, _ *redial.Dialer, config *pgx.ConnConfig) (*pgx.Conn, error) {
			return pgx.ConnectConfig(ctx, config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connects kit.Connects
			var dials kit.Dials
			d := &redial.Dialer{
				Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop(), OnDial: dials.OnDial,
				MaxElapsed: 2 * time.Second,
			}
			start := time.Now()
			_, err := do(t.Context(), d, configFor(t, d, connString(testutil.RefusingAddress(t, "tcp4"), "sslmode=prefer")))
			took := time.Since(start)
			var failed *redial.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, redial.Refused, failed.Class)
			if name == "connect" {
				assert.InDelta(t, 2*failed.Attempts, connects.Count(), 2, "an attempt of Do connects twice; the last may be cut off")
				return
			}
			assert.Equal(t, 2, dials.Begun())
			assert.Greater(t, took, 3*time.Second, "each dial has MaxElapsed for itself")
		})
	}
}

// TestHosts has one server and several ways to say where it is.
func TestHosts(t *testing.T) {
	t.Parallel()
	server := newCluster(t)
	server.Start(t)
	soon := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}

	hosts := connString(server.Address, "host=127.0.0.3,127.0.0.1")
	for _, way := range []string{"connect", "acquire", "database/sql"} {
		t.Run("list of hosts, "+way, func(t *testing.T) {
			var attempts kit.Attempts
			d := &redial.Dialer{Logger: zap.NewNop(), OnAttempt: attempts.Add}
			require.NoError(t, ways[way](t, d, hosts)(t.Context()))
			all := attempts.All()
			require.Len(t, all, 3, "one dial for each host, and the attempt that has both")
			assert.Equal(t, 1, all[2].Number)
		})
	}
	t.Run("list of hosts, pool", func(t *testing.T) {
		t.Parallel()
		d := &redial.Dialer{Logger: zap.NewNop(), MaxElapsed: 500 * time.Millisecond}
		assert.NoError(t, byPool(t, d, hosts)(soon(t)), "the first host gets only MaxElapsed")
	})

	t.Run("sslmode=prefer", func(t *testing.T) {
		d := &redial.Dialer{Logger: zap.NewNop(), MaxAttempts: 1}
		assert.NoError(t, byPool(t, d, connString(server.Address, "sslmode=prefer"))(t.Context()))
	})
}

func TestDeadServer(t *testing.T) {
	t.Parallel()
	t.Run("a pool of 50", func(t *testing.T) {
		t.Parallel()
		to := connString(testutil.RefusingAddress(t, "tcp4"), "pool_max_conns=50")
		kit.AllSeeCause(t, func(d *redial.Dialer) operation { return byPool(t, d, to) })
	})
	t.Run("a pool of 4 with a Gate", func(t *testing.T) {
		t.Parallel()
		to := connString(testutil.RefusingAddress(t, "tcp4"), "pool_max_conns=4")
		crowd := kit.AllSeeCause(t, func(d *redial.Dialer) operation {
			d.Gate = new(redial.Gate)
			return byPool(t, d, to)
		})
		assert.Less(t, crowd.Tried, 50, "most operations share a failure")
	})
	t.Run("a pool of 4, acquire", func(t *testing.T) {
		t.Parallel()
		to := connString(testutil.RefusingAddress(t, "tcp4"), "pool_max_conns=4")
		kit.AllSeeCause(t, func(d *redial.Dialer) operation { return byAcquire(t, d, to) })
	})
	t.Run("database/sql", func(t *testing.T) {
		t.Parallel()
		to := connString(testutil.RefusingAddress(t, "tcp4"), "")
		kit.AllSeeCause(t, func(d *redial.Dialer) operation { return byDB(t, d, to) })
	})
	t.Run("database/sql over a pool of 4 with a Gate", func(t *testing.T) {
		t.Parallel()
		to := connString(testutil.RefusingAddress(t, "tcp4"), "pool_max_conns=4")
		kit.AllSeeCause(t, func(d *redial.Dialer) operation {
			d.Gate = new(redial.Gate)
			db := stdlib.OpenDBFromPool(openPool(t, d, to))
			t.Cleanup(func() { db.Close() })
			return func(ctx context.Context) error { return db.PingContext(redial.Attach(ctx)) }
		})
	})

	// What happens otherwise.
	t.Run("a pool of 4 without Attach", func(t *testing.T) {
		t.Parallel()
		var crowd kit.Crowd
		core, logs := observer.New(zapcore.DebugLevel)
		d := crowd.Dialer()
		d.Logger = zap.New(core)
		pool := openPool(t, d, connString(testutil.RefusingAddress(t, "tcp4"), "pool_max_conns=4"))
		crowd.Run(t, time.Second, pool.Ping)
		assert.Zero(t, crowd.Refused, "the pool drops the cause")
		assert.Equal(t, 4, crowd.Dials.InFlight(), "the dials live on")
		require.NotZero(t, logs.Len())
		last := logs.All()[logs.Len()-1]
		assert.Equal(t, "dial attempt failed, will retry", last.Message)
		assert.Equal(t, "refused", last.ContextMap()["class"], "the log has the cause")
	})
	t.Run("database/sql with MaxOpenConns 4", func(t *testing.T) {
		t.Parallel()
		var crowd kit.Crowd
		d := crowd.Dialer()
		d.MaxElapsed = time.Second
		db := openDB(d, configFor(t, d, connString(testutil.RefusingAddress(t, "tcp4"), "")))
		defer db.Close()
		db.SetMaxOpenConns(4)
		crowd.Run(t, time.Second, db.PingContext)
		assert.Less(t, crowd.Refused, 50, "those who wait for a place see only the end of their context")
		assert.Eventually(t, func() bool { return crowd.Dials.InFlight() == 0 && db.Stats().OpenConnections == 0 },
			20*time.Second, 10*time.Millisecond, "four dials go on, one after the other, each for MaxElapsed")
	})
}

// TestSilentServer has two silent hosts, so that an attempt is in flight when the
// operation ends, and pgx would go on with the other host.
func TestSilentServer(t *testing.T) {
	address := testutil.ListenSilent(t, kit.FreeAddress(t)) // while the machine is not busy yet
	t.Parallel()
	for _, name := range []string{"pool", "acquire", "database/sql"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var crowd kit.Crowd
			d := crowd.Dialer()
			d.Timeout = 1500 * time.Millisecond
			do := ways[name](t, d, connString(address, "host=127.0.0.1,127.0.0.1"))
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			assert.Error(t, do(ctx))
			assert.Less(t, time.Since(start), 1200*time.Millisecond)
			// Within acquire, the dial in flight is the pool's own. It ends by its Timeout.
			time.Sleep(time.Until(start.Add(2500 * time.Millisecond)))
			assert.Zero(t, crowd.Dials.InFlight())
			assert.Equal(t, 1, crowd.Connects.Count())
		})
	}
}
