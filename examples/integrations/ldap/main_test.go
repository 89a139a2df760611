package main

import (
	"context"
	"errors"
	"net"
	"os"
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

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
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

func TestNeverThere(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := connect(ctx, newDialer(new(kit.Attempts)), kit.FreeAddress(t), anonymously)
	var e *redial.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, redial.Refused, e.Class)
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
