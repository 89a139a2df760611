// Metrics serves the metrics of a Dialer for Prometheus, while the Dialer dials a server that fails
// in several ways:
//
//	cd examples/metrics
//	go run . -listen 127.0.0.1:9464
//	curl http://127.0.0.1:9464/metrics
//
// The server is part of the program. Every few seconds it changes: it greets its clients, it is down,
// it resets connections, it is mute. One dial begins every tenth of a second. Some dials are to a
// name that does not exist, and some are canceled.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/redialprom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// run returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("metrics", flag.ContinueOnError)
	flags.SetOutput(out)
	listen := flags.String("listen", "127.0.0.1:9464", "the `address` to serve /metrics on")
	phase := flags.Duration("phase", 3*time.Second, "how long the server stays as it is")
	length := flags.Duration("for", 0, "how long to run; 0 means until it is interrupted")
	if flags.Parse(args) != nil {
		return 2
	}
	if *length > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}

	m := redialprom.New(redialprom.Opts{})
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: *phase / 6},
		Verify:     readGreeting,
		MaxElapsed: *phase / 2,
		Logger:     zap.NewNop(),
	}
	m.Instrument(d, "greeter")
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)

	server, err := newServer()
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	defer func() { server.stop() }() // the one of the last phase
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	web := &http.Server{Handler: mux}
	defer web.Close()
	go web.Serve(ln)
	fmt.Fprintf(out, "serving http://%v/metrics\n", ln.Addr())

	var running sync.WaitGroup
	running.Go(func() { server.change(ctx, *phase) })
	dialAll(ctx, d, server.address(), *phase)
	running.Wait()
	return 0
}

// dialAll begins a dial every tenth of a second, until ctx ends. It returns when all dials have ended.
func dialAll(ctx context.Context, d *redial.Dialer, address string, phase time.Duration) {
	var dials sync.WaitGroup
	defer dials.Wait()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		dials.Go(func() {
			to, ctx := address, ctx
			switch i % 10 {
			case 3:
				to = "nobody.invalid:80" // RFC 6761: no name ends in .invalid
			case 7: // an impatient caller, which gives up when the server does not answer
				var cancel func()
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
				defer time.AfterFunc(phase/4, cancel).Stop()
			}
			if conn, err := d.DialContext(ctx, "tcp", to); err == nil {
				conn.Close()
			}
		})
	}
}

const greeting = "hello\n"

// readGreeting is the Dialer's Verify.
func readGreeting(_ context.Context, conn net.Conn) error {
	got := make([]byte, len(greeting))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != greeting {
		return errors.New("not a greeter")
	}
	return nil
}

// A server listens on a loopback port, and fails in turn in several ways.
type server struct {
	port string
	stop func()
}

// newServer returns a server that greets. Its port is outside the range from which the kernel picks
// local ports, so that nobody else takes it while the server is down.
func newServer() (*server, error) {
	for port := 22000; ; port++ {
		s := &server{port: fmt.Sprint(port)}
		err := s.serve(greet)
		if err == nil || port == 23000 {
			return s, err
		}
	}
}

// address returns a name, so that dials resolve it and race its addresses.
func (s *server) address() string { return "localhost:" + s.port }

// change changes what the server does after each phase, until ctx ends.
func (s *server) change(ctx context.Context, phase time.Duration) {
	ticker := time.NewTicker(phase)
	defer ticker.Stop()
	for i := 1; ; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s.stop()
		if handle := [...]func(net.Conn){greet, nil, reset, keepSilent}[i%4]; handle != nil {
			if err := s.serve(handle); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
		}
	}
}

// serve calls handle with each connection, until stop is called.
func (s *server) serve(handle func(net.Conn)) error {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", s.port))
	if err != nil {
		return err
	}
	s.stop = func() { ln.Close() }
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
	return nil
}

// greet is a server that works.
func greet(conn net.Conn) {
	defer conn.Close()
	io.Copy(conn, strings.NewReader(greeting))
}

// reset is a proxy without a backend: it accepts, and drops the connection.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// keepSilent is a server that is mute: it accepts and says nothing.
func keepSilent(conn net.Conn) {
	defer conn.Close()
	conn.Read(make([]byte, 1)) // until the client gives up
}
