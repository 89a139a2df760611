// Command memcache connects gomemcache through redial, and does one operation:
//
//	go run ./memcache 127.0.0.1:11211
//	go run ./memcache 127.0.0.1:11211 127.0.0.1:11212
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// A client is a memcache.Client, with a way to wait for a server that is down.
type client struct {
	*memcache.Client
	servers *memcache.ServerList
	dialer  *redial.Dialer
}

// newClient returns a client that dials through d. A dial makes one attempt: if a server is down, an
// operation fails at once, and the program takes that as a cache miss.
func newClient(d *redial.Dialer, servers ...string) (*client, error) {
	list := new(memcache.ServerList)
	if err := list.SetServers(servers...); err != nil {
		return nil, err
	}
	once := *d
	once.MaxAttempts = 1
	once.Gate = nil // wait waits at it
	c := memcache.NewFromSelector(list)
	c.DialContext = once.DialContext

	again := *d
	again.Logger = zap.NewNop() // the client's dials are logged
	again.OnAttempt, again.OnDial = nil, nil
	again.Classifier = func(err error) redial.Class {
		if _, ok := errors.AsType[*memcache.ConnectTimeoutError](err); ok {
			return redial.Timeout // gomemcache has dropped the dial's error
		}
		return redial.Classify(err)
	}
	return &client{c, list, &again}, nil
}

// wait calls operation, which is about key, until key's server has answered, or ctx ends. It is for what must not be
// missed. An operation whose connection breaks may run twice.
func (c *client) wait(ctx context.Context, key string, operation func() error) error {
	server, err := c.servers.PickServer(key)
	if err != nil {
		return err
	}
	var answer error
	_, err = redial.Do(ctx, c.dialer, "tcp", server.String(), func(context.Context) (struct{}, error) {
		answer = operation()
		if answer == nil || c.dialer.Classifier(answer) == redial.Unknown {
			return struct{}{}, nil // memcached has answered, with ErrCacheMiss for example
		}
		return struct{}{}, answer
	})
	if err != nil {
		return err
	}
	return answer
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	servers := []string{"127.0.0.1:11211"}
	if len(os.Args) > 1 {
		servers = os.Args[1:]
	}
	client, err := newClient(&redial.Dialer{Dialer: net.Dialer{Timeout: time.Second}, Logger: log}, servers...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	item := &memcache.Item{Key: "greeting", Value: []byte("hello")}
	if err := client.wait(ctx, item.Key, func() error { return client.Set(item) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("stored")
}
