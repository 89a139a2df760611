// Storm shows the load that a thousand dialing goroutines put on one server, while the server is down
// and when it comes back. It measures the load without and with a redial.Gate:
//
//	go run ./examples/storm
//
// It counts the connection attempts at a port where nothing listens. Then it starts a server there, and
// measures when the dials connect. The report in bench draws storm.svg of the same storm.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout))
}

// run returns the exit code.
func run(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("storm", flag.ContinueOnError)
	flags.SetOutput(out)
	dials := flags.Int("dials", 1000, "how many goroutines dial")
	down := flags.Duration("down", 10*time.Second, "how long the server is down")
	if flags.Parse(args) != nil {
		return 2
	}

	fmt.Fprintf(out, "%d goroutines dial a server that is down for %v\n\n", *dials, *down)
	without := measure(*dials, *down, nil)
	with := measure(*dials, *down, new(redial.Gate))
	table(out, without, with)
	return 0
}

// A result is what one storm measured.
type result struct {
	attempts, whileDown int           // connection attempts: all, and while the server was down
	first, last         time.Duration // when the first and the last dial connected, after the server came up
}

// measure dials from all goroutines at once, starts the server when it has been down for that long,
// and waits until the last dial has connected.
func measure(dials int, down time.Duration, gate *redial.Gate) (r result) {
	server := reserve()
	begin := time.Now()
	var attempts atomic.Int64
	var mu sync.Mutex
	var connected []time.Time
	d := &redial.Dialer{
		MaxElapsed: -1,
		Gate:       gate,
		Logger:     zap.NewNop(),
	}
	d.Control = func(string, string, syscall.RawConn) error {
		attempts.Add(1)
		return nil
	}

	ctx, cancel := context.WithTimeout(context.Background(), down+time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range dials {
		wg.Go(func() {
			conn, err := d.DialContext(ctx, "tcp", server)
			if err != nil {
				return // a failed dial has no connection time to record
			}
			at := time.Now()
			conn.Close()
			mu.Lock()
			defer mu.Unlock()
			connected = append(connected, at)
		})
	}
	time.Sleep(down - time.Since(begin))
	r.whileDown = int(attempts.Load())
	up := time.Now()
	stop := serve(server)
	wg.Wait()
	stop()
	r.attempts = int(attempts.Load())
	r.first, r.last = connected[0].Sub(up), connected[len(connected)-1].Sub(up)
	return r
}

// reserve returns an address that nothing listens on. Its port is outside the range from which the
// kernel picks local ports, so no dial of the storm can use the port as its own.
func reserve() string {
	for port := 21000; ; port++ {
		ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			ln.Close()
			return ln.Addr().String()
		}
		if port == 22000 {
			panic(err) // no loopback interface: there is nothing to show
		}
	}
}

// serve accepts connections and closes them until stop is called.
func serve(address string) (stop func() error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return ln.Close
}

func table(out io.Writer, without, with result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	fmt.Fprintln(w, "\twithout a Gate\twith a Gate\t")
	fmt.Fprintf(w, "attempts while it is down\t%d\t%d\t\n", without.whileDown, with.whileDown)
	fmt.Fprintf(w, "attempts in all\t%d\t%d\t\n", without.attempts, with.attempts)
	fmt.Fprintf(w, "first connection, since it is up\t%v\t%v\t\n", ms(without.first), ms(with.first))
	fmt.Fprintf(w, "last connection, since it is up\t%v\t%v\t\n", ms(without.last), ms(with.last))
	fmt.Fprintf(w, "from the first to the last\t%v\t%v\t\n", ms(without.last-without.first), ms(with.last-with.first))
	w.Flush()
}
