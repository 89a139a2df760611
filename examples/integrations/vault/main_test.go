package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.Main(m, func(address string) error { return http.ListenAndServe(address, http.HandlerFunc(serve)) })
}

// serve answers as Vault does to a read of the secret greeting. It knows no tokens, no other paths and no
// writes, and does not have to be unsealed.
func serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/v1/secret/data/greeting" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{
		"data": map[string]any{"text": "hello"}, "metadata": map[string]any{"version": 1},
	}})
}

// newClient returns a client as NewClient makes it, but for its address and what configure changes.
func newClient(t *testing.T, url string, configure func(*api.Config)) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	require.NoError(t, config.Error)
	config.Address = url
	configure(config)
	client, err := api.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return client
}

func newRedialClient(t *testing.T, url string, d *redial.Dialer) *api.Client {
	t.Helper()
	return newClient(t, url, func(config *api.Config) { through(d, config) })
}

// get returns an operation that reads a secret.
func get(client *api.Client) kit.Operation {
	return func(ctx context.Context) error {
		secret, err := client.KVv2("secret").Get(ctx, "greeting")
		if err == nil && secret.Data["text"] != "hello" {
			err = errors.New("the secret has changed")
		}
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "Vault",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return get(newClient(t, "http://"+addresses[0], func(config *api.Config) {
				config.HttpClient.Transport.(*http.Transport).DialContext = d.DialContext
			}))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return get(newRedialClient(t, "http://"+addresses[0], d))
		},
	}.Run(t)
}

// Vault speaks HTTP/2 over TLS. The client has its transport set up for it before the recipe clones
// the transport.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	protocols := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		serve(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	var dials kit.Dials
	d := &redial.Dialer{Logger: zap.NewNop(), OnDial: dials.OnDial}
	client := newClient(t, server.URL, func(config *api.Config) {
		require.NoError(t, config.ConfigureTLS(&api.TLSConfig{Insecure: true})) // before the recipe, as its comment says
		through(d, config)
	})
	for range 3 {
		require.NoError(t, get(client)(t.Context()))
		assert.Equal(t, "HTTP/2.0", <-protocols)
	}
	assert.Equal(t, 1, dials.Begun(), "the requests share a connection")
}

// The client still retries what redial does not.
func TestOwnRetriesStay(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]struct {
		status  int   // of the first answer
		failure error // of the first dial
	}{
		"status":               {status: http.StatusServiceUnavailable},
		"name that comes late": {status: http.StatusOK, failure: &net.DNSError{Err: "no such host", IsNotFound: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dials, requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 && first.status != http.StatusOK {
					w.WriteHeader(first.status)
					return
				}
				serve(w, r)
			}))
			t.Cleanup(server.Close)
			d := &redial.Dialer{Logger: zap.NewNop()}
			d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1) == 1 && first.failure != nil {
					return nil, first.failure
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			assert.NoError(t, get(newRedialClient(t, server.URL, d))(t.Context()))
			assert.EqualValues(t, 3, dials.Load()+requests.Load(), "one of the first kind failed")
		})
	}
}

// With the client's own check of what to retry, a failed dial is lost: the client waits for its next try
// until the context ends.
func TestOwnRetriesHideTheCause(t *testing.T) {
	t.Parallel()
	url := "http://" + testutil.RefusingAddress(t, "tcp4")
	d := &redial.Dialer{Logger: zap.NewNop()}
	for name, own := range map[string]bool{"own check": true, "recipe": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, url, func(config *api.Config) {
				if through(d, config); own {
					config.CheckRetry = nil
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := get(client)(ctx)
			t.Log(err)
			_, isDial := errors.AsType[*redial.Error](err)
			assert.Equal(t, !own, isDial)
			assert.Equal(t, !own, errors.Is(err, syscall.ECONNREFUSED))
		})
	}
}
