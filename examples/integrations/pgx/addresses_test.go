package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// These tests have names with two addresses, of which the first is of no use. Each way of main.go must
// connect if pgx alone does, and about as fast.

// A target is a PostgreSQL server as the program knows it.
type target struct {
	resolver *net.Resolver
	dsn      string
	timeout  time.Duration // of the Dialer
}

func (to target) dialer() *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Resolver: to.resolver, Timeout: to.timeout}, Classifier: startingUp, Logger: zap.NewNop()}
}

// config returns the configuration of a pool that dials through d, or by pgx alone if d is nil.
func (to target) config(t *testing.T, d *redial.Dialer) *pgxpool.Config {
	t.Helper()
	config, err := pgxpool.ParseConfig(to.dsn)
	require.NoError(t, err)
	config.ConnConfig.LookupFunc = to.resolver.LookupHost
	if d != nil {
		dialThrough(d, config.ConnConfig)
	}
	return config
}

// pool returns a pool that dials through d. Nobody waits for it to end, because pgx alone would wait for minutes
// for a mute server.
func (to target) pool(t *testing.T, d *redial.Dialer) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), to.config(t, d))
	require.NoError(t, err)
	t.Cleanup(func() { go pool.Close() })
	return pool
}

// A rower is what can answer a query.
type rower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// serverOf returns the address of the server that conn is connected to.
func serverOf(ctx context.Context, conn rower) (host string, err error) {
	err = conn.QueryRow(ctx, whichServer).Scan(&host)
	return host, err
}

const whichServer = "SELECT host(inet_server_addr())"

// logIns connect in each way of main.go, and by pgx alone. They return the server's address.
var logIns = map[string]func(t *testing.T, ctx context.Context, to target) (string, error){
	"pgx alone": func(t *testing.T, ctx context.Context, to target) (string, error) {
		return logIn(t, ctx, func() (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, to.config(t, nil).ConnConfig) })
	},
	"connect": func(t *testing.T, ctx context.Context, to target) (string, error) {
		d := to.dialer()
		return logIn(t, ctx, func() (*pgx.Conn, error) { return connect(ctx, d, to.config(t, d).ConnConfig) })
	},
	"pgxpool alone": func(t *testing.T, ctx context.Context, to target) (string, error) {
		return serverOf(ctx, to.pool(t, nil))
	},
	"pool": func(t *testing.T, ctx context.Context, to target) (string, error) {
		return serverOf(redial.Attach(ctx), to.pool(t, to.dialer()))
	},
	"acquire": func(t *testing.T, ctx context.Context, to target) (string, error) {
		d := to.dialer()
		conn, err := acquire(ctx, d, to.pool(t, d))
		if err != nil {
			return "", err
		}
		defer conn.Release()
		return serverOf(ctx, conn)
	},
	"database/sql": func(t *testing.T, ctx context.Context, to target) (host string, err error) {
		d := to.dialer()
		db := openDB(d, to.config(t, d).ConnConfig)
		defer db.Close()
		err = db.QueryRowContext(ctx, whichServer).Scan(&host)
		return host, err
	},
}

func logIn(t *testing.T, ctx context.Context, connect func() (*pgx.Conn, error)) (string, error) {
	conn, err := connect()
	if err != nil {
		return "", err
	}
	defer conn.Close(t.Context())
	return serverOf(ctx, conn)
}

// full answers a client that there are too many.
func full(conn net.Conn) {
	server := pgproto3.NewBackend(conn, conn)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already"})
	server.Flush()
}

// The hosts of TestFirstAddress. They have the same port.
const (
	primary  = "127.0.0.1"
	refusing = "127.0.0.2"
	closing  = "127.0.0.3"
	mute     = "127.0.0.4" // accepts and says nothing
	standby  = "127.0.0.5" // admits queries
	crowded  = "127.0.0.6" // has no connection left
	silent   = "127.0.0.7" // does not even accept
)

// startHosts starts the hosts, and returns their port.
func startHosts(t *testing.T) (port string) {
	t.Helper()
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	at := func(host string) string { return net.JoinHostPort(host, port) }
	testutil.ListenSilent(t, at(silent)) // while the machine is not busy yet
	testutil.Listen(t, "tcp", at(closing), func(net.Conn) {})
	testutil.Listen(t, "tcp", at(mute), func(conn net.Conn) { io.Copy(io.Discard, conn) })
	testutil.Listen(t, "tcp", at(crowded), full)
	newClusterAt(t, at(primary)).Start(t)
	replica := newClusterAt(t, at(standby), "-c", "hot_standby=on")
	require.NoError(t, os.WriteFile(filepath.Join(replica.Data, "standby.signal"), nil, 0o600))
	replica.Start(t)
	return port
}

// firstAddressTests have the addresses of a name, or a list of hosts in the connection string.
var firstAddressTests = []struct {
	name     string
	addrs    []string
	settings string
	want     string        // the server; empty: none
	alone    bool          // pgx alone gets there too
	limit    time.Duration // for the ways of main.go that retry all of pgx's work
}{
	{"refuses", []string{refusing, primary}, "", primary, true, soon},
	{"closes", []string{closing, primary}, "", primary, true, soon},
	{"two fail", []string{closing, crowded, primary}, "", primary, true, soon},
	{"says nothing", []string{mute, primary}, "", primary, false, dialerTimeout + soon},
	{"says nothing, connect_timeout", []string{mute, primary}, "connect_timeout=2", primary, true, 2*time.Second + soon},
	{"does not accept", []string{silent, primary}, "", primary, false, 300*time.Millisecond + soon},
	{"has no connection left", []string{crowded, primary}, "", primary, true, soon},
	{"standby, read-write", []string{standby, primary}, "target_session_attrs=read-write", primary, true, soon},
	{"primary, prefer-standby", []string{primary, standby}, "target_session_attrs=prefer-standby", standby, true, soon},
	{"no standby, prefer-standby", []string{primary, refusing}, "target_session_attrs=prefer-standby", primary, true, soon},
	{"list: refuses", nil, "host=" + refusing + "," + primary, primary, true, soon},
	{"list: standby", nil, "host=" + standby + "," + primary + " target_session_attrs=primary", primary, true, soon},
	{"list: primary", nil, "host=" + primary + "," + standby + " target_session_attrs=prefer-standby", standby, true, soon},
	{"list: says nothing", nil, "host=" + mute + "," + primary + " connect_timeout=2", primary, true, 2*time.Second + soon},
	{"all refuse", []string{refusing, refusing}, "", "", false, 0},
}

const (
	soon          = 200 * time.Millisecond
	dialerTimeout = time.Second
)

func TestFirstAddress(t *testing.T) {
	port := startHosts(t)
	dns := dnstest.Start(t, kit.FreeAddress(t))
	for i, test := range firstAddressTests {
		name := fmt.Sprintf("name%d.test", i)
		dns.Set(name, dnstest.Addrs(test.addrs...))
		to := target{dns.Resolver(), connString(net.JoinHostPort(name, port), test.settings), dialerTimeout}
		for way, logIn := range logIns {
			t.Run(test.name+"/"+way, func(t *testing.T) {
				if test.limit != soon {
					t.Parallel() // the others are over at once, and measure more exactly one by one
				}
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
				defer cancel()
				connects := func() time.Duration {
					start := time.Now()
					server, err := logIn(t, ctx, to)
					took := time.Since(start)
					t.Log(took.Round(time.Millisecond), server, err)
					require.NoError(t, err)
					assert.Equal(t, test.want, server)
					return took
				}
				plain := way == "pgx alone" || way == "pgxpool alone" || way == "pool"
				switch {
				case test.want == "":
					_, err := logIn(t, ctx, to)
					assert.ErrorIs(t, err, syscall.ECONNREFUSED)
				case !plain:
					kit.Within(t, test.limit, connects)
				case test.alone:
					connects()
				case way != "pool":
					_, err := logIn(t, ctx, to)
					assert.Error(t, err)
				}
			})
		}
	}
}

// TestSlowDNS has a resolver that needs longer than the Dialer's Timeout.
func TestSlowDNS(t *testing.T) {
	t.Parallel()
	server := newCluster(t)
	server.Start(t)
	_, port, err := net.SplitHostPort(server.Address)
	require.NoError(t, err)
	dns := dnstest.Start(t, kit.FreeAddress(t))
	dns.Set("service.test", dnstest.Addrs(primary))
	slowly := func(ctx context.Context, network, _ string) (net.Conn, error) {
		select {
		case <-time.After(3 * dialerTimeout / 2):
			return new(net.Dialer).DialContext(ctx, network, dns.Addr)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for way, logIn := range logIns {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			to := target{dnstest.ResolverBy(slowly), connString(net.JoinHostPort("service.test", port), ""), dialerTimeout}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			_, err := logIn(t, ctx, to)
			t.Log(time.Since(start).Round(time.Millisecond), err)
			assert.NoError(t, err)
		})
	}
}
