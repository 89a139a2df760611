// Command vault connects Vault's client through redial, and reads a secret of the KV engine at
// secret/. The token is in VAULT_TOKEN:
//
//	go run ./vault http://127.0.0.1:8200 greeting
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// through makes the client of config dial through d. Set TLS, proxy and idle connections before, because
// api can set them on an *http.Transport only.
func through(d *redial.Dialer, config *api.Config) *api.Config {
	config.HttpClient.Transport = redial.NewTransport(d, config.HttpClient.Transport.(*http.Transport))
	// The client still retries what the dial does not: statuses such as 503, requests that break, names that
	// do not exist. If it retried other dials too, it would wait until its context ends, and return only that.
	config.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if failed, ok := errors.AsType[*redial.Error](err); ok && failed.Stop != redial.ErrPermanent {
			return false, nil
		}
		return api.DefaultRetryPolicy(ctx, resp, err)
	}
	return config
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	config, name := api.DefaultConfig(), "greeting"
	if config.Error != nil {
		fmt.Fprintln(os.Stderr, config.Error)
		os.Exit(1)
	}
	if len(os.Args) > 2 {
		config.Address, name = os.Args[1], os.Args[2]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: log}
	client, err := api.NewClient(through(d, config))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	secret, err := client.KVv2("secret").Get(ctx, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(secret.Data)
}
