package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.Main(m, func(address string) error { return http.ListenAndServe(address, newStub()) })
}

const configMaps = "/api/v1/namespaces/default/configmaps"

// newStub returns an API server that has one ConfigMap, the text of which changes ten times a second. It
// answers to get, list and watch. It has no discovery, no TLS and no authentication, writes nothing, and its watches
// begin with the present state, whatever resource version they ask for.
func newStub() http.Handler {
	var version atomic.Int64
	version.Store(time.Now().UnixMilli()) // so that versions also grow when the stub starts anew
	object := func() *corev1.ConfigMap {
		v := strconv.FormatInt(version.Add(1), 10)
		return &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: "greeting", Namespace: "default", ResourceVersion: v},
			Data:       map[string]string{"text": "hello " + v},
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+configMaps+"/greeting", func(w http.ResponseWriter, r *http.Request) { send(w, object()) })
	mux.HandleFunc("GET "+configMaps, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("watch") == "" {
			item := object()
			send(w, &corev1.ConfigMapList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"},
				ListMeta: metav1.ListMeta{ResourceVersion: item.ResourceVersion},
				Items:    []corev1.ConfigMap{*item},
			})
			return
		}
		event := func(kind string, o *corev1.ConfigMap) error {
			send(w, map[string]any{"type": kind, "object": o})
			return http.NewResponseController(w).Flush()
		}
		err := event("ADDED", object())
		if r.FormValue("sendInitialEvents") == "true" {
			o := object()
			o.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
			err = event("BOOKMARK", o)
		}
		for ; err == nil && r.Context().Err() == nil; time.Sleep(100 * time.Millisecond) {
			err = event("MODIFIED", object())
		}
	})
	return mux
}

func send(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(object)
}

// configOf returns a config without client-go's own limit, five requests a second, which would be all that
// an outage shows.
func configOf(address string) *rest.Config { return &rest.Config{Host: "http://" + address, QPS: -1} }

func newClient(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}

// get returns an operation that reads a ConfigMap.
func get(client kubernetes.Interface) kit.Operation {
	return func(ctx context.Context) error {
		_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "greeting", metav1.GetOptions{})
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "client-go",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			config := configOf(addresses[0])
			config.Dial = d.DialContext
			return get(newClient(t, config))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return get(newClient(t, through(d, configOf(addresses[0]))))
		},
	}.Run(t)
}

// watch starts an informer, and calls changed for each event.
func watch(t *testing.T, client kubernetes.Interface, changed func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	_, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
	})
	require.NoError(t, err)
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
}

// Informers go through an outage of 12 s. An informer alone waits longer after each failure, so that it is
// chance when it is back. So the test compares the sums of ten, which live through the same outage.
func TestInformer(t *testing.T) {
	t.Parallel()
	const informers, outage = 10, 12 * time.Second
	server, address := kit.NewSelf(t)
	server.Start(t)
	var back atomic.Int64 // when the server is back, in nanoseconds since start; 0 before
	start := time.Now()
	begin := func(config func() *rest.Config) (seen *atomic.Int64, first []chan time.Duration) {
		seen = new(atomic.Int64)
		for range informers {
			after := make(chan time.Duration, 1)
			first = append(first, after)
			once := false // an informer calls its handler from one goroutine
			watch(t, newClient(t, config()), func() {
				seen.Add(1)
				if at := back.Load(); at != 0 && !once {
					once = true
					after <- time.Since(start) - time.Duration(at)
				}
			})
		}
		return seen, first
	}
	seenAlone, alone := begin(func() *rest.Config {
		config := configOf(address)
		config.Dial = new(net.Dialer).DialContext
		return config
	})
	d := &redial.Dialer{Logger: zap.NewNop()}
	seenOurs, ours := begin(func() *rest.Config { return through(d, configOf(address)) })
	for _, seen := range []*atomic.Int64{seenAlone, seenOurs} {
		require.Eventually(t, func() bool { return seen.Load() > 2*informers }, 20*time.Second, 10*time.Millisecond)
	}
	server.Kill()
	time.Sleep(outage)
	server.Start(t)
	back.Store(int64(time.Since(start)))
	mean := func(first []chan time.Duration) (sum, slowest time.Duration) {
		for _, after := range first {
			select {
			case d := <-after:
				sum, slowest = sum+d, max(slowest, d)
			case <-time.After(time.Minute):
				require.FailNow(t, "an informer does not come back")
			}
		}
		return sum / informers, slowest
	}
	ourMean, ourSlowest := mean(ours)
	aloneMean, aloneSlowest := mean(alone)
	t.Logf("first event after the return: alone %v on average, %v at worst; with redial %v, %v",
		aloneMean, aloneSlowest, ourMean, ourSlowest)
	assert.Less(t, ourMean, aloneMean)
}

// An informer that stops leaves no dial behind.
func TestInformerStops(t *testing.T) {
	t.Parallel()
	var dials kit.Dials
	d := &redial.Dialer{Logger: zap.NewNop(), OnDial: dials.OnDial}
	address := testutil.RefusingAddress(t, "tcp4")
	t.Run("run", func(t *testing.T) {
		watch(t, newClient(t, through(d, configOf(address))), func() { t.Error("no server") })
		require.Eventually(t, func() bool { return dials.InFlight() > 0 }, 10*time.Second, time.Millisecond)
	})
	assert.Eventually(t, func() bool { return dials.InFlight() == 0 }, 10*time.Second, time.Millisecond,
		"far sooner than the dial's 30 s")
}

// The Timeout of a config also ends the dial, before the program would learn nothing but that.
func TestTimeout(t *testing.T) {
	t.Parallel()
	config := configOf(testutil.RefusingAddress(t, "tcp4"))
	config.Timeout = time.Second
	err := get(newClient(t, through(&redial.Dialer{Logger: zap.NewNop()}, config)))(t.Context())
	t.Log(err)
	failed, ok := errors.AsType[*redial.Error](err)
	require.True(t, ok)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.Equal(t, redial.ErrDeadline, failed.Stop)
}

// With a Dial, client-go gives each client a transport of its own. Clients share connections if they are made
// with one http.Client.
func TestClientsShare(t *testing.T) {
	t.Parallel()
	server, address := kit.NewSelf(t)
	server.Start(t)
	for name, test := range map[string]struct {
		shared bool
		dials  int
	}{"NewForConfig": {false, 2}, "NewForConfigAndClient": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			var dials kit.Dials
			config := through(&redial.Dialer{Logger: zap.NewNop(), OnDial: dials.OnDial}, configOf(address))
			shared, err := rest.HTTPClientFor(config)
			require.NoError(t, err)
			for range 2 {
				client := newClient(t, config)
				if test.shared {
					client, err = kubernetes.NewForConfigAndClient(config, shared)
					require.NoError(t, err)
				}
				require.NoError(t, get(client)(t.Context()))
			}
			assert.Equal(t, test.dials, dials.Begun())
		})
	}
}
