package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// The hosts of TestFirstAddress. They have the same port.
const (
	serving  = "127.0.0.1"
	refusing = "127.0.0.2"
	closing  = "127.0.0.3"
	mute     = "127.0.0.4" // accepts and says nothing
	silent   = "127.0.0.5" // does not even accept
)

// A wayToDial is a target's scheme, and the options that go with it.
type wayToDial struct {
	target  func(dns *dnstest.Server, address string) string
	options func(dns *dnstest.Server) []grpc.DialOption
}

// byDNS has gRPC look up the name.
func byDNS(dns *dnstest.Server, address string) string { return "dns://" + dns.Addr + "/" + address }

var waysToDial = map[string]wayToDial{
	"gRPC alone": {byDNS, func(*dnstest.Server) []grpc.DialOption {
		return append(plainOptions, grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	}},
	"dns, MaxAttempts 1": {byDNS, func(*dnstest.Server) []grpc.DialOption { return options(newDialer()) }},
	// For comparison: the Dialer looks up the name, and retries.
	"passthrough, MaxElapsed 2s": {
		func(_ *dnstest.Server, address string) string { return "passthrough:///" + address },
		func(dns *dnstest.Server) []grpc.DialOption {
			d := &redial.Dialer{Dialer: net.Dialer{Resolver: dns.Resolver()}, MaxElapsed: 2 * time.Second, Logger: zap.NewNop()}
			return append(options(d), grpc.WithConnectParams(grpc.ConnectParams{
				MinConnectTimeout: 3 * time.Second,
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			}))
		},
	},
}

// TestFirstAddress has names with two addresses, of which the first is of no use.
func TestFirstAddress(t *testing.T) {
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	at := func(host string) string { return net.JoinHostPort(host, port) }
	testutil.ListenSilent(t, at(silent)) // while the machine is not busy yet
	testutil.Listen(t, "tcp", at(closing), func(net.Conn) {})
	testutil.Listen(t, "tcp", at(mute), func(conn net.Conn) { io.Copy(io.Discard, conn) })
	kit.Self(t, address).Start(t)
	dns := dnstest.Start(t, kit.FreeAddress(t))

	const soon = 200 * time.Millisecond
	for i, test := range []struct {
		name  string
		addrs []string
		limit time.Duration // zero: no address is of use
	}{
		{"refuses", []string{refusing, serving}, soon},
		{"closes", []string{closing, serving}, soon},
		{"two fail", []string{closing, refusing, serving}, soon},
		{"says nothing", []string{mute, serving}, 250*time.Millisecond + soon},
		{"does not accept", []string{silent, serving}, 250*time.Millisecond + soon},
		{"all refuse", []string{refusing, refusing}, 0},
	} {
		name := fmt.Sprintf("name%d.test", i)
		dns.Set(name, dnstest.Addrs(test.addrs...))
		for way, dial := range waysToDial {
			t.Run(test.name+"/"+way, func(t *testing.T) {
				connects := func() (time.Duration, error) {
					ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
					defer cancel()
					check := newClient(t, dial.target(dns, at(name)), dial.options(dns))
					start := time.Now()
					err := check(ctx)
					took := time.Since(start)
					t.Log(took.Round(time.Millisecond), err)
					return took, err
				}
				switch {
				case test.limit == 0:
					t.Parallel()
					_, err := connects()
					assert.ErrorContains(t, err, "connection refused")
				case way == "dns, MaxAttempts 1":
					kit.Within(t, test.limit, func() time.Duration {
						took, err := connects()
						require.NoError(t, err)
						return took
					})
				default:
					connects()
				}
			})
		}
	}
}
