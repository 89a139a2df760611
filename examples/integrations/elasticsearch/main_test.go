package main

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

func TestMain(m *testing.M) {
	kit.Main(m, func(address string) error { return http.ListenAndServe(address, new(stub)) })
}

// A stub is an Elasticsearch of one node that says who it is, and keeps documents in memory, as they have
// been put: there is no search, no mapping, no version and no authentication.
type stub struct{ documents sync.Map }

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch") // the client takes no other server
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPut:
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		document, err := io.ReadAll(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.documents.Store(r.URL.Path, document)
		w.WriteHeader(http.StatusCreated)
	case http.MethodGet:
		if r.URL.Path == "/" {
			io.WriteString(w, `{"version":{"number":"9.0.0","build_flavor":"default"},"tagline":"You Know, for Search"}`)
			return
		}
		if document, ok := s.documents.Load(r.URL.Path); ok {
			w.Write(document.([]byte))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func at(addresses ...string) elasticsearch.Option {
	var urls []string
	for _, address := range addresses {
		urls = append(urls, "http://"+address)
	}
	return elasticsearch.WithAddresses(urls...)
}

func newRedialClient(t *testing.T, d *redial.Dialer, options ...elasticsearch.Option) *elasticsearch.Client {
	t.Helper()
	client, err := newClient(d, nil, options...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(context.Background()) })
	return client
}

// info returns an operation that asks the cluster who it is.
func info(client *elasticsearch.Client) kit.Operation {
	return func(ctx context.Context) error {
		resp, err := client.Info(client.Info.WithContext(ctx))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		if err == nil && resp.IsError() {
			err = errors.New(resp.Status())
		}
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "go-elasticsearch",
		Hosts:  true,
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			base := http.DefaultTransport.(*http.Transport).Clone()
			base.DialContext = d.DialContext
			client, err := elasticsearch.New(at(addresses...), elasticsearch.WithTransportOptions(elastictransport.WithTransport(base)))
			require.NoError(t, err)
			return info(client)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Timeout = newDialer(nil).Timeout
			return info(newRedialClient(t, d, at(addresses...)))
		},
	}.Run(t)
}

// A document is stored as it was, although its request is made again and again, also if the client compresses it.
func TestDocument(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]elasticsearch.Option{
		"plain": nil, "compressed": {elasticsearch.WithCompression()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, address := kit.NewSelf(t)
			d := newDialer(zap.NewNop())
			var dials kit.Dials
			d.OnDial = dials.OnDial
			client := newRedialClient(t, d, append(options, at(address))...)
			server.LaunchAfter(t, 300*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			const document = `{"text":"hello"}`
			resp, err := client.Index("greetings", strings.NewReader(document),
				client.Index.WithDocumentID("1"), client.Index.WithContext(ctx))
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, http.StatusCreated, resp.StatusCode)
			assert.Greater(t, dials.Begun(), 1)
			resp, err = client.Get("greetings", "1", client.Get.WithContext(ctx))
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, document, string(body))
		})
	}
}
