// Http is an HTTP client that loses no request while its server restarts:
//
//	go run ./examples/http
//
// It starts an HTTP server of its own and sends requests from four goroutines. Meanwhile it restarts
// the server. Requests made while the server is down wait until the server is up again, so none is
// lost. Another client, without redial, goes through the same restart, and loses about half of its requests.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
)

func main() {
	os.Exit(run(os.Stdout, 2*time.Second))
}

const (
	workers  = 4
	requests = 25 // per worker
	pause    = 20 * time.Millisecond
)

// run runs the example; down is how long the server is down. It returns the exit code: 0 if no
// request was lost with redial, else 1.
func run(out io.Writer, down time.Duration) int {
	address, stop := serve("127.0.0.1:0")
	fmt.Fprintf(out, "the server is up on %s\n", address)
	restarted := make(chan struct{})
	time.AfterFunc(requests*pause/2, func() {
		defer close(restarted)
		stop()
		time.Sleep(down)
		_, stop = serve(address)
	})

	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	logger := zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), zap.InfoLevel))
	client := &http.Client{
		Transport: redial.NewTransport(&redial.Dialer{Logger: logger}, nil),
		Timeout:   20 * time.Second, // also bounds the dials: no wait and no new attempt outlasts its request
	}
	plain := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}

	var answered, answeredPlain int
	var slowest time.Duration
	var both sync.WaitGroup
	both.Go(func() { answered, slowest = load(client, "http://"+address) })
	both.Go(func() { answeredPlain, _ = load(plain, "http://"+address) })
	both.Wait()
	<-restarted
	stop()
	lost := workers*requests - answered
	fmt.Fprintf(out, "the server was down for %v\n", down)
	fmt.Fprintf(out, "without redial: %d requests answered, %d lost\n", answeredPlain, workers*requests-answeredPlain)
	fmt.Fprintf(out, "with redial: %d requests answered, %d lost; the slowest took %v\n", answered, lost, slowest.Round(time.Millisecond))
	return min(lost, 1)
}

// serve starts a server. stop shuts the server down after it has answered the requests it is
// serving, as a server shuts down when a new version is deployed.
func serve(address string) (bound string, stop func()) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		panic(err) // no loopback interface, or another program took the port: there is nothing to show
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
	})}
	go server.Serve(ln)
	return ln.Addr().String(), func() { server.Shutdown(context.Background()) }
}

// load sends all requests. It returns how many were answered, and how long the slowest took.
func load(client *http.Client, url string) (answered int, slowest time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range requests {
				start := time.Now()
				err := get(client, url)
				took := time.Since(start)
				mu.Lock()
				if err == nil {
					answered++
				}
				slowest = max(slowest, took)
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	return answered, slowest
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
