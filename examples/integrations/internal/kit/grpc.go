package kit

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// GRPCTarget returns the target that makes gRPC look up the address's name at the DNS server that the
// resolver asks, because gRPC does not take a resolver of package net. If the resolver is nil, gRPC does as by default.
func GRPCTarget(t testing.TB, resolver *net.Resolver, address string) string {
	t.Helper()
	if resolver == nil {
		return "dns:///" + address
	}
	conn, err := resolver.Dial(context.Background(), "udp", "")
	require.NoError(t, err)
	defer conn.Close()
	return "dns://" + conn.RemoteAddr().String() + "/" + address
}
