package systest_test

// These tests run both resolvers that a Go program may use on Linux against the same DNS server:
// Go's own, and the C library's by cgo. The resolvers word their failures differently, but the
// class must be the same: see also the faults in faults_dns_linux_test.go. The C library's resolver
// reads its servers from /etc/resolv.conf only, so each test runs in a namespace of its own.

import (
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// dnsPort53 is the address of the DNS server. The C library's resolver asks no other port than 53.
const dnsPort53 = "127.0.0.1:53"

// eachResolver runs body once with each resolver, in a namespace of its own.
func eachResolver(t *testing.T, env []string, body func(t *testing.T, resolver string)) {
	t.Parallel()
	for _, resolver := range []string{"go", "cgo"} {
		t.Run(resolver, func(t *testing.T) {
			if resolver == "cgo" && !builtWithCgo() {
				t.Skip("built without cgo, so without the C library's resolver")
			}
			inNamespace(t, append(env, "GODEBUG=netdns="+resolver), func(t *testing.T) { body(t, resolver) })
		})
	}
}

// builtWithCgo reports whether this binary contains the C library's resolver. If it does not, Go
// silently uses its own resolver instead.
func builtWithCgo() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	cgo, netgo := false, false
	for _, setting := range info.Settings {
		switch setting.Key {
		case "CGO_ENABLED":
			cgo = setting.Value == "1"
		case "-tags":
			for tag := range strings.SplitSeq(setting.Value, ",") {
				netgo = netgo || tag == "netgo"
			}
		}
	}
	return cgo && !netgo
}

// requireResolver checks that this process uses the given resolver. Only Go's resolver reports
// which server answered.
func requireResolver(t *testing.T, resolver string) {
	t.Helper()
	_, err := net.DefaultResolver.LookupHost(t.Context(), "no-such-name.test")
	var dnsError *net.DNSError
	require.ErrorAs(t, err, &dnsError)
	require.True(t, dnsError.IsNotFound, "%v", err)
	server := map[string]string{"go": dnsPort53, "cgo": ""}[resolver]
	require.Equal(t, server, dnsError.Server, "this is not the %s resolver", resolver)
}

func TestResolver(t *testing.T) {
	eachResolver(t, nil, func(t *testing.T, resolver string) {
		server := dnstest.Start(t, dnsPort53)
		requireResolver(t, resolver)
		port := listenLoopback(t)
		server.Set("name.test", dnstest.Addrs("127.0.0.1"))
		attempts, err := dialRecorded(t, &redial.Dialer{}, "tcp", "name.test:"+port)
		require.NoError(t, err)
		require.Len(t, attempts, 1)
		assert.Equal(t, "127.0.0.1:"+port, attempts[0].Remote.String())
	})
}

// These dials resolve names that exist, with few or no free descriptors. The resolvers then report
// that there is no such host, or give the cause only as text. Each number of free descriptors has a
// process of its own, because a resolver may not read a file again that it read, or failed to read,
// in an earlier look-up.
func TestResolverOutOfDescriptors(t *testing.T) {
	t.Parallel()
	const variable = "REDIAL_TEST_DESCRIPTORS"
	const enough = 4 // for either resolver; Go's uses one socket for A and one for AAAA
	for left := range enough + 1 {
		t.Run(strconv.Itoa(left), func(t *testing.T) {
			eachResolver(t, []string{variable + "=" + strconv.Itoa(left)}, func(t *testing.T, _ string) {
				left, err := strconv.Atoi(os.Getenv(variable))
				require.NoError(t, err)
				server := dnstest.Start(t, dnsPort53)
				server.Set("name.test", dnstest.Addrs("127.0.0.1"))
				port := listenLoopback(t)
				for _, c := range []struct{ network, host string }{
					{"tcp", "name.test"}, {"tcp4", "name.test"}, {"tcp4", "localhost"},
				} {
					failed := 0
					const dials = 10 // with one descriptor left, chance decides whether the A or the AAAA query gets it
					for range dials {
						d := redial.Dialer{MaxAttempts: 2}
						restore := leaveDescriptors(t, left)
						attempts, err := dialRecorded(t, &d, c.network, c.host+":"+port)
						restore()
						require.Len(t, attempts, 1, "the dial was retried: %v", err)
						if err != nil {
							failed++
							assert.Equal(t, redial.Exhausted, attempts[0].Class, "%v", err)
							// The resolver's error alone would not show the cause.
							assert.Equal(t, redial.Exhausted, redial.Classify(err), "%v", err)
							assert.ErrorIs(t, err, redial.ErrPermanent)
						}
					}
					t.Logf("%d descriptors left, %s %s: %d of %d dials failed", left, c.network, c.host, failed, dials)
					switch left {
					case 0:
						assert.Equal(t, dials, failed)
					case enough:
						assert.Zero(t, failed)
					}
				}
			})
		})
	}
}
