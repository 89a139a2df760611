package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	mysql.SetLogger(new(mysql.NopLogger))
	kit.InParallel()
	testutil.Main(m)
}

// maxConnections is how many connections the server allows.
const maxConnections = 60

// newServer returns a MariaDB server that has not been started, and its address.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	const owner = "mysql"
	path := kit.Binary(t, "mariadbd", "mariadb-server")
	install := kit.Binary(t, "mariadb-install-db", "mariadb-server")
	dir, address := kit.Dir(t, owner), kit.FreeAddress(t)
	data := filepath.Join(dir, "data")
	kit.Run(t, owner, install, "--no-defaults", "--datadir="+data, "--tmpdir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &kit.Server{
		Path: path,
		Args: []string{
			"--no-defaults", "--datadir=" + data, "--tmpdir=" + dir, "--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"),
			"--bind-address=127.0.0.1", "--port=" + port, "--skip-grant-tables", "--skip-networking=OFF",
			"--innodb-flush-log-at-trx-commit=0", fmt.Sprint("--max-connections=", maxConnections),
		},
		User: owner,
		Ready: func(ctx context.Context) error {
			db, err := sql.Open("mysql", "root@tcp("+address+")/")
			if err != nil {
				return err
			}
			defer db.Close()
			return db.PingContext(ctx)
		},
	}, address
}

// An operation is what a program does with its sql.DB.
type operation = func(ctx context.Context) error

func execIn(t *testing.T, db *sql.DB, err error) operation {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	db.SetMaxIdleConns(10) // the default of 2 closes the connections of most goroutines after each operation
	return func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "DO 1")
		return err
	}
}

var networks atomic.Int64

// dsn returns a DSN that dials through d.
func dsn(d *redial.Dialer, address string) string {
	network := fmt.Sprint("redial", networks.Add(1))
	register(network, d)
	return "root@" + network + "(" + address + ")/"
}

// ways are the two ways to connect: only the dial is retried, or the login with it.
var ways = map[string]func(*testing.T, *redial.Dialer, string) operation{
	"dial": func(t *testing.T, d *redial.Dialer, address string) operation {
		db, err := sql.Open("mysql", dsn(d, address))
		return execIn(t, db, err)
	},
	"login": func(t *testing.T, d *redial.Dialer, address string) operation {
		db, err := open(d, dsn(d, address))
		return execIn(t, db, err)
	},
}

func TestSuite(t *testing.T) {
	var suites []kit.Suite
	for name, way := range ways {
		suites = append(suites, kit.Suite{
			Client:   "MySQL, " + name + " retried",
			Server:   newServer,
			DialOnly: name == "dial",
			Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
				config := mysql.NewConfig()
				config.User, config.Net, config.Addr, config.DialFunc = "root", "tcp", addresses[0], d.DialContext
				connector, err := mysql.NewConnector(config)
				require.NoError(t, err)
				return execIn(t, sql.OpenDB(connector), nil)
			},
			Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
				d.Timeout, d.Classifier = 3*time.Second, notReady
				return way(t, d, addresses[0])
			},
		})
	}
	kit.RunSuites(t, suites...)
}

// TestRunningServer has what can be tested on one server that runs all the time.
func TestRunningServer(t *testing.T) {
	server, address := newServer(t)
	t.Parallel()
	server.Start(t)

	t.Run("Config.DialFunc", func(t *testing.T) {
		config := mysql.NewConfig()
		var attempts kit.Attempts
		d := &redial.Dialer{Logger: zap.NewNop(), OnAttempt: attempts.Add}
		config.User, config.Net, config.Addr, config.DialFunc = "root", "tcp", address, d.DialContext
		inner, err := mysql.NewConnector(config)
		require.NoError(t, err)
		assert.NoError(t, execIn(t, sql.OpenDB(inner), nil)(t.Context()))
		assert.Len(t, attempts.All(), 1)
	})
	t.Run("too many connections", func(t *testing.T) {
		hog, err := sql.Open("mysql", "root@tcp("+address+")/")
		require.NoError(t, err)
		defer hog.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var held []*sql.Conn
		for range maxConnections + 2 { // MariaDB has one more for an administrator
			conn, dialErr := hog.Conn(ctx)
			if err = dialErr; err != nil {
				break
			}
			held = append(held, conn)
		}
		var full *mysql.MySQLError
		require.ErrorAs(t, err, &full)
		require.EqualValues(t, 1040, full.Number)

		quick := ways["dial"](t, &redial.Dialer{Classifier: notReady, Logger: zap.NewNop()}, address)
		assert.ErrorAs(t, quick(ctx), &full, "the dial succeeds, so that the program sees the error at once")

		result := make(chan error, 1)
		var attempts kit.Attempts
		patient := ways["login"](t, &redial.Dialer{Classifier: notReady, Logger: zap.NewNop(), OnAttempt: attempts.Add}, address)
		go func() { result <- patient(ctx) }()
		time.Sleep(time.Second)
		require.NoError(t, hog.Close())
		for _, conn := range held {
			conn.Close()
		}
		assert.NoError(t, <-result)
		refused := slices.ContainsFunc(attempts.All(), func(a redial.Attempt) bool { return a.Class == redial.Refused })
		assert.True(t, refused, "%+v", attempts.All())
	})
}

// TestSilence has a silent server and a mute one, which accepts and says nothing.
func TestSilence(t *testing.T) {
	silent := testutil.ListenSilent(t, kit.FreeAddress(t)) // while the machine is not busy yet
	t.Parallel()
	accepting := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { conn.Read(make([]byte, 1)) })
	addresses := map[string]string{
		"no SYN":   silent,
		"no login": accepting.Addr().String(),
	}
	for silence, address := range addresses {
		for name, way := range ways {
			t.Run(silence+", "+name, func(t *testing.T) {
				t.Parallel()
				var crowd kit.Crowd
				d := crowd.Dialer()
				do := way(t, d, address)
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				start := time.Now()
				assert.Error(t, do(ctx))
				assert.Less(t, time.Since(start), 1500*time.Millisecond)
				assert.Zero(t, crowd.Dials.InFlight(), "database/sql does not detach the dial")
				assert.Equal(t, 1, crowd.Connects.Count())
			})
		}
	}
	// Without a deadline of the caller's, only Timeout can end the login, and only if it is part of the
	// attempt.
	t.Run("no deadline", func(t *testing.T) {
		t.Parallel()
		d := &redial.Dialer{Dialer: net.Dialer{Timeout: 200 * time.Millisecond}, MaxElapsed: time.Second, Logger: zap.NewNop()}
		var failed *redial.Error
		require.ErrorAs(t, ways["login"](t, d, accepting.Addr().String())(t.Context()), &failed)
		assert.Equal(t, redial.Timeout, failed.Class)
		assert.Greater(t, failed.Attempts, 1)
	})
}

func TestDeadServer(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := testutil.RefusingAddress(t, "tcp4")
			kit.AllSeeCause(t, func(d *redial.Dialer) operation { return way(t, d, address) })
		})
	}
	t.Run("with MaxOpenConns 4", func(t *testing.T) {
		t.Parallel()
		var crowd kit.Crowd
		d := crowd.Dialer()
		d.MaxElapsed = time.Second
		db, err := sql.Open("mysql", dsn(d, testutil.RefusingAddress(t, "tcp4")))
		do := execIn(t, db, err)
		db.SetMaxOpenConns(4)
		crowd.Run(t, time.Second, do)
		assert.Less(t, crowd.Refused, 50, "those who wait for a place see only the end of their context")
		assert.Eventually(t, func() bool { return crowd.Dials.InFlight() == 0 && db.Stats().OpenConnections == 0 },
			20*time.Second, 10*time.Millisecond, "four dials go on, one after the other, each for MaxElapsed")
	})
}
