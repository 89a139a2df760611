package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// A plainDialer is a net.Dialer as pq takes it.
type plainDialer struct{ *net.Dialer }

func (d plainDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout(network, address, timeout)
}

// openAlone returns a pool that dials through d, without redial.
func openAlone(d *net.Dialer, connString string) (*sql.DB, error) {
	inner, err := pq.NewConnector(connString)
	if err != nil {
		return nil, err
	}
	inner.Dialer(plainDialer{d})
	db := sql.OpenDB(inner)
	db.SetMaxIdleConns(10)
	return db, nil
}

func ping(ctx context.Context, connString string) error {
	db, err := openAlone(new(net.Dialer), connString)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "SELECT 1")
	return err
}

// connStringOf returns the connection string of servers at addresses. They have three seconds to let a
// client in, one by one.
func connStringOf(t *testing.T, addresses []string) string {
	t.Helper()
	var hosts, ports []string
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		hosts, ports = append(hosts, host), append(ports, port)
	}
	return kit.PostgresConnString(addresses[0], "connect_timeout=3 host="+strings.Join(hosts, ",")+" port="+strings.Join(ports, ","))
}

func TestSuite(t *testing.T) {
	operation := func(t *testing.T, db *sql.DB, err error) kit.Operation {
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		return func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "SELECT 1")
			return err
		}
	}
	kit.Suite{
		Client: "lib/pq",
		Server: func(t *testing.T) (*kit.Server, string) {
			server := kit.NewPostgres(t, kit.FreeAddress(t), ping)
			return server.Server, server.Address
		},
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			db, err := openAlone(d, connStringOf(t, addresses))
			return operation(t, db, err)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Classifier = startingUp
			db, err := open(d, connStringOf(t, addresses))
			return operation(t, db, err)
		},
		Hosts: true,
	}.Run(t)
}

// TestStartingUp has a server that accepts and answers 57P03 until it is promoted: a standby that
// admits no queries.
func TestStartingUp(t *testing.T) {
	t.Parallel()
	server := kit.NewPostgres(t, kit.FreeAddress(t), func(ctx context.Context, connString string) error {
		err := ping(ctx, connString)
		if e, ok := errors.AsType[*pq.Error](err); ok && startingUp(err) == redial.Refused && e.Detail != "" {
			return nil // Detail: hot standby mode is disabled. Without it, the server is not a standby yet
		}
		return fmt.Errorf("not a standby: %w", err)
	}, "-c", "hot_standby=off")
	require.NoError(t, os.WriteFile(filepath.Join(server.Data, "standby.signal"), nil, 0o600))
	server.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	do := func(d *redial.Dialer) error {
		db, err := open(d, kit.PostgresConnString(server.Address, ""))
		require.NoError(t, err)
		defer db.Close()
		return db.PingContext(ctx)
	}

	// Without the Classifier, the program sees the server's answer at once.
	var e *pq.Error
	require.ErrorAs(t, do(&redial.Dialer{Logger: zap.NewNop()}), &e)
	assert.EqualValues(t, "57P03", e.Code)

	promote := sync.OnceFunc(func() {
		kit.Run(t, kit.PostgresUser, filepath.Join(server.Bin, "pg_ctl"), "promote", "-D", server.Data)
	})
	var refused atomic.Int64
	assert.NoError(t, do(&redial.Dialer{
		Classifier: startingUp, Logger: zap.NewNop(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Class == redial.Refused {
				refused.Add(1)
				promote()
			}
		},
	}))
	assert.NotZero(t, refused.Load())
}
