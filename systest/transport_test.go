package systest_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// Package net shares one look-up among concurrent dials to the same name. If the request that began
// the look-up ends, the other request's dial must not fail.
func TestTransportSharedLookUp(t *testing.T) {
	dnstest.SkipWithout(t)
	dns := dnstest.Start(t, "127.0.0.1:0")
	dns.Set("shared.test", dnstest.Addrs("127.0.0.1"))
	server := httptest.NewServer(testutil.Hello)
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	url := "http://shared.test.:" + port

	asked, gone := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var toServer redial.Dialer
	resolver := dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		once.Do(func() { close(asked) })
		<-gone // delays the dial to the DNS server until the first request is over
		return toServer.DialContext(ctx, network, dns.Addr)
	})
	transport := redial.NewTransport(&redial.Dialer{Dialer: net.Dialer{Resolver: resolver}, Policy: redial.Policy{}}, nil)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	first, cancel := context.WithCancel(t.Context())
	var requests sync.WaitGroup
	requests.Go(func() { testutil.Get(first, client, url) })
	<-asked
	looking := make(chan struct{}, 1)
	second := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) { looking <- struct{}{} }})
	requests.Go(func() {
		_, _, err := testutil.Get(second, client, url)
		assert.NoError(t, err)
	})
	<-looking
	cancel()
	close(gone)
	requests.Wait()
}
