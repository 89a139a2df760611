package kit

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// PostgresUser is the user that PostgreSQL runs as, if the test runs as root. PostgreSQL does not run as root.
const PostgresUser = "postgres"

// A Postgres is a PostgreSQL server with its files.
type Postgres struct {
	*Server
	Address string
	Bin     string // the directory of PostgreSQL's programs
	Data    string // the directory of its files
}

// NewPostgres returns a PostgreSQL server that has not been started. The settings are arguments of its
// command. Connect is called to find out whether the server is ready: it connects with the
// client's connection string and closes the connection.
func NewPostgres(t testing.TB, address string, connect func(ctx context.Context, connString string) error, settings ...string) *Postgres {
	t.Helper()
	path := Binary(t, "/usr/lib/postgresql/*/bin/postgres", "postgresql")
	p := &Postgres{Address: address, Bin: filepath.Dir(path), Data: filepath.Join(Dir(t, PostgresUser), "data")}
	Run(t, PostgresUser, filepath.Join(p.Bin, "initdb"), "-D", p.Data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale")
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	p.Server = &Server{
		Path:  path,
		Args:  append([]string{"-D", p.Data, "-h", host, "-p", port, "-k", "", "-c", "fsync=off", "-c", "max_connections=200"}, settings...),
		User:  PostgresUser,
		Ready: func(ctx context.Context) error { return connect(ctx, PostgresConnString(address, "")) },
	}
	return p
}

// PostgresConnString returns the connection string of the server at address. Settings in more take
// precedence.
func PostgresConnString(address, more string) string {
	host, port, _ := net.SplitHostPort(address)
	return "user=postgres dbname=postgres sslmode=disable host=" + host + " port=" + port + " " + more
}
