package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

func TestMain(m *testing.M) { kit.Main(m, serveAll) }

// serveAll answers each bind with a success, and knows no other request.
func serveAll(address string) error {
	return kit.Serve(address, func(conn net.Conn) { answer(conn, ldap.LDAPResultSuccess) })
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "LDAP",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return func(context.Context) error {
				conn, err := ldap.DialURL("ldap://"+addresses[0], ldap.DialWithDialer(d))
				if err != nil {
					return err
				}
				defer conn.Close()
				return anonymously(conn)
			}
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Classifier = classify
			return func(ctx context.Context) error {
				conn, err := connect(ctx, d, addresses[0], anonymously)
				if err != nil {
					return err
				}
				return conn.Close()
			}
		},
	}.Run(t)
}

// serve answers each connection's bind with the next of the results, and the later ones with the
// last.
func serve(t *testing.T, address string, results ...int) {
	listener, err := net.Listen("tcp", address)
	if !assert.NoError(t, err) {
		return
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			result := results[0]
			if len(results) > 1 {
				results = results[1:]
			}
			go answer(conn, result)
		}
	}()
}

func answer(conn net.Conn, result int) {
	defer conn.Close()
	if _, err := ber.ReadPacket(conn); err != nil {
		return
	}
	// A BindResponse (RFC 4511, sections 4.1.1 and 4.2.2) to the first message.
	conn.Write([]byte{0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, byte(result), 4, 0, 4, 0})
	conn.Read(make([]byte, 1)) // until the client closes
}

func anonymously(conn *ldap.Conn) error { return conn.UnauthenticatedBind("") }

func newDialer(attempts *kit.Attempts) *redial.Dialer {
	return &redial.Dialer{Classifier: classify, Logger: zap.NewNop(), OnAttempt: attempts.Add}
}

// The server is down, then it is busy twice, then it serves.
func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	served := time.AfterFunc(500*time.Millisecond, func() {
		serve(t, address, int(ldap.LDAPResultBusy), int(ldap.LDAPResultUnavailable), int(ldap.LDAPResultSuccess))
	})
	defer served.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var attempts kit.Attempts
	conn, err := connect(ctx, newDialer(&attempts), address, anonymously)
	require.NoError(t, err)
	assert.NoError(t, conn.Close())
	all := attempts.All()
	busy := 0
	for _, a := range all {
		var failed *ldap.Error
		if errors.As(a.Err, &failed) && a.Class == redial.Refused {
			busy++
		}
	}
	assert.Equal(t, 2, busy)
	assert.Greater(t, len(all), 3, "attempts at a server that was down")
}

// A wrong password is not retried.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	serve(t, address, int(ldap.LDAPResultInvalidCredentials))
	var attempts kit.Attempts
	_, err := connect(t.Context(), newDialer(&attempts), address, func(conn *ldap.Conn) error { return conn.Bind("cn=me", "wrong") })
	assert.True(t, ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials), "%v", err)
	assert.Equal(t, redial.Unknown, redial.Classify(err))
}
