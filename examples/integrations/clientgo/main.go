// Command clientgo connects client-go through redial. For ten seconds, it prints the ConfigMaps of the
// namespace default, and what happens to them. The address is of an API server or of kubectl proxy:
//
//	go run ./clientgo http://127.0.0.1:8001
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/seed-33f8b841/redial"
)

// through returns a copy of config whose clients dial through d.
func through(d *redial.Dialer, config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Dial = d.DialContext
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return attached{next} })
	return config
}

// attached ties each request's dial to the request, because net/http detaches it. It does so for calls, whose
// contexts the program could attach itself, and for an informer's requests.
type attached struct{ http.RoundTripper }

func (a attached) RoundTrip(req *http.Request) (*http.Response, error) {
	return a.RoundTripper.RoundTrip(req.WithContext(redial.Attach(req.Context())))
}

// WrappedRoundTripper lets client-go find the *http.Transport.
func (a attached) WrappedRoundTripper() http.RoundTripper { return a.RoundTripper }

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	config := &rest.Config{Host: "http://127.0.0.1:8001"}
	if len(os.Args) > 1 {
		config.Host = os.Args[1]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: log}
	client, err := kubernetes.NewForConfig(through(d, config))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceDefault))
	show := func(what string) func(any) {
		return func(object any) {
			if configMap, ok := object.(*corev1.ConfigMap); ok {
				fmt.Println(what, configMap.Name, configMap.Data)
			}
		}
	}
	factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    show("added"),
		UpdateFunc: func(_, object any) { show("updated")(object) },
		DeleteFunc: show("deleted"),
	})
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
}
