package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: dialDNS}
	kit.Main(m, serve)
}

// dns is the resolver that the driver uses. It takes none as an argument.
var dns atomic.Pointer[net.Resolver]

func resolveBy(r *net.Resolver) {
	if r != nil {
		dns.Store(r)
	}
}

func dialDNS(ctx context.Context, network, address string) (net.Conn, error) {
	if r := dns.Load(); r != nil {
		return r.Dial(ctx, network, address)
	}
	return nil, fmt.Errorf("no resolver for %s", address)
}

// serve runs a stub of SQL Server's protocol, TDS: it answers PRELOGIN, LOGIN7, and each batch with
// DONE. It knows no TLS, checks no password and runs no query.
func serve(address string) error {
	return kit.Serve(address, func(conn net.Conn) { session(conn, loggedIn) })
}

// The types of messages.
const (
	batch    = 1
	response = 4
	login7   = 16
	prelogin = 18
)

var (
	preloginAnswer = []byte{1, 0, 6, 0, 1, 0xff, 2} // ENCRYPTION: not supported
	done           = append([]byte{0xfd}, make([]byte, 12)...)
	loggedIn       = append([]byte{
		0xad, 10, 0, // LOGINACK and its length
		1, 0x74, 0, 0, 4, // SQL, TDS 7.4
		0,          // no name
		1, 0, 0, 0, // version
	}, done...)
)

// session answers a client, whose login gets the answer given.
func session(conn net.Conn, toLogin []byte) error {
	answers := map[byte][]byte{prelogin: preloginAnswer, login7: toLogin, batch: done}
	r := bufio.NewReader(conn)
	for {
		kind, err := readMessage(r)
		if err != nil {
			return err
		}
		answer, ok := answers[kind]
		if !ok {
			return fmt.Errorf("message of type %d", kind)
		}
		packet := binary.BigEndian.AppendUint16([]byte{response, 1}, uint16(8+len(answer))) // 1: the last of the message
		packet = append(packet, 0, 0, 1, 0)
		if _, err := conn.Write(append(packet, answer...)); err != nil {
			return err
		}
	}
}

// readMessage reads the packets of a message, and returns its type.
func readMessage(r io.Reader) (kind byte, err error) {
	header := make([]byte, 8)
	for {
		if _, err := io.ReadFull(r, header); err != nil {
			return 0, err
		}
		size := int64(binary.BigEndian.Uint16(header[2:])) - int64(len(header))
		if _, err := io.CopyN(io.Discard, r, size); err != nil {
			return 0, err
		}
		if header[1]&1 != 0 {
			return header[0], nil
		}
	}
}

// dsnOf returns the connection string of a server and its failover partner.
func dsnOf(t *testing.T, addresses ...string) string {
	t.Helper()
	dsn := "sqlserver://sa@" + addresses[0] + "?encrypt=disable"
	if len(addresses) > 1 {
		host, port, err := net.SplitHostPort(addresses[1])
		require.NoError(t, err)
		dsn += "&failoverpartner=" + host + "&failoverport=" + port
	}
	return dsn
}

func TestSuite(t *testing.T) {
	operation := func(t *testing.T, db *sql.DB) kit.Operation {
		t.Cleanup(func() { db.Close() })
		return func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "SELECT 1")
			return err
		}
	}
	kit.Suite{
		Client: "SQL Server",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			resolveBy(d.Resolver)
			inner, err := mssql.NewConnector(dsnOf(t, addresses...))
			require.NoError(t, err)
			inner.Dialer = d
			db := sql.OpenDB(inner)
			db.SetMaxIdleConns(10)
			return operation(t, db)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			resolveBy(d.Resolver)
			d.Timeout, d.Classifier = 3*time.Second, notReady
			db, err := open(d, dsnOf(t, addresses...))
			require.NoError(t, err)
			return operation(t, db)
		},
		Hosts: true,
	}.Run(t)
}

// notAvailable is the answer to a login while an Azure SQL database resumes.
func notAvailable() []byte {
	text := []byte{0, 0} // the length of a text, in characters of two bytes
	e := binary.LittleEndian.AppendUint32(nil, 40613)
	e = append(append(e, 1, 17), text...)   // state, severity, message
	e = append(append(e, 0, 0), 0, 0, 0, 0) // server, procedure, line
	answer := append(binary.LittleEndian.AppendUint16([]byte{0xaa}, uint16(len(e))), e...)
	failed := slices.Clone(done)
	failed[1] = 2 // an error
	return append(answer, failed...)
}

// The server is not available for its first three logins.
func TestNotReady(t *testing.T) {
	t.Parallel()
	var logins atomic.Int64
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		if logins.Add(1) <= 3 {
			session(conn, notAvailable())
			return
		}
		session(conn, loggedIn)
	})
	ping := func(d *redial.Dialer) error {
		db, err := open(d, dsnOf(t, ln.Addr().String()))
		require.NoError(t, err)
		defer db.Close()
		return db.PingContext(t.Context())
	}
	var answer mssql.Error
	require.ErrorAs(t, ping(&redial.Dialer{Logger: zap.NewNop()}), &answer, "the client's error is kept")
	assert.EqualValues(t, 40613, answer.Number)
	assert.EqualValues(t, 1, logins.Load())
	assert.NoError(t, ping(&redial.Dialer{Classifier: notReady, Logger: zap.NewNop()}))
	assert.EqualValues(t, 4, logins.Load())
}

// A deadlines is a connection that keeps the latest deadline that it has got.
type deadlines struct {
	net.Conn
	latest atomic.Pointer[time.Time]
}

func (c *deadlines) SetDeadline(to time.Time) error {
	c.latest.Store(&to)
	return c.Conn.SetDeadline(to)
}

// The bound on a login must not break the connection later.
func TestConnectionOutlivesLogin(t *testing.T) {
	t.Parallel()
	address := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { session(conn, loggedIn) }).Addr().String()
	conn := new(deadlines)
	d := &redial.Dialer{Logger: zap.NewNop()}
	d.DialFunc = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		conn.Conn, err = d.Dialer.DialContext(ctx, network, address)
		return conn, err
	}
	db, err := open(d, dsnOf(t, address))
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.PingContext(t.Context()))
	require.NotNil(t, conn.latest.Load(), "the login has a deadline")
	assert.Zero(t, *conn.latest.Load())
}
