// Quickstart dials a server that is down, and connects once the server is up:
//
//	go run ./examples/quickstart
//
// The server is part of the program, and starts to listen after two seconds. To dial another server
// instead:
//
//	go run ./examples/quickstart host:port
//
// It prints a line for each attempt or, with -log, the records of the Dialer's zap logger.
//
// If the dial fails, Quickstart explains why and exits with code 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/explain"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, 2*time.Second))
}

// run dials the address in args. Without one, it dials a server of its own that is down at first.
// It returns the exit code.
func run(args []string, out io.Writer, down time.Duration) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "usage: quickstart [-log] [host:port]")
		flags.PrintDefaults()
	}
	log := flags.Bool("log", false, "write the records of the logger")
	if flags.Parse(args) != nil {
		return 2
	}
	address := flags.Arg(0)
	switch flags.NArg() {
	case 0:
		address = freeAddress()
		fmt.Fprintf(out, "nothing listens on %s; a server will in %v\n", address, down)
		time.AfterFunc(down, func() { greetOne(address) })
	case 1:
	default:
		flags.Usage()
		return 2
	}

	d := &redial.Dialer{OnAttempt: func(_ context.Context, a redial.Attempt) { printAttempt(out, a) }}
	if *log {
		d = &redial.Dialer{Logger: newLogger(out)}
	}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		fmt.Fprintf(out, "error: %v\n\n%s\n", err, explain.Error(err))
		return 1
	}
	defer conn.Close()
	fmt.Fprintf(out, "connected: %v -> %v\n", conn.LocalAddr(), conn.RemoteAddr())
	if flags.NArg() == 0 { // other servers may wait for us to speak first
		greeting, _ := io.ReadAll(conn)
		fmt.Fprintf(out, "received: %s", greeting)
	}
	return 0
}

// printAttempt prints what happened in an attempt, and what comes next.
func printAttempt(out io.Writer, a redial.Attempt) {
	switch {
	case a.Err == nil:
		fmt.Fprintf(out, "attempt %d: connected, %v after the first began\n", a.Number, a.Elapsed.Round(time.Millisecond))
	case a.Stop == 0:
		fmt.Fprintf(out, "attempt %d: %v, the next in %v\n", a.Number, a.Class, a.Delay.Round(time.Millisecond))
	default:
		fmt.Fprintf(out, "attempt %d: %v, no other: %v\n", a.Number, a.Class, a.Stop)
	}
}

// freeAddress returns a loopback address with a port that nobody listens on. The port is below those that
// systems choose themselves, so that no other program is given it in the meantime.
func freeAddress() string {
	for range 100 {
		address := fmt.Sprint("127.0.0.1:", 20000+rand.IntN(10000))
		if ln, err := net.Listen("tcp", address); err == nil {
			ln.Close()
			return address
		}
	}
	panic("no free port, or no loopback interface: there is nothing to show")
}

// greetOne is the server. It greets its first client and stops. If another program has taken the
// port in the meantime, greetOne returns, and the dial shows what happened.
func greetOne(address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return
	}
	defer ln.Close()
	if conn, err := ln.Accept(); err == nil {
		fmt.Fprintln(conn, "hello, you got through")
		conn.Close()
	}
}

// newLogger returns a logger for people to read: one line per record, with the fields as JSON.
func newLogger(out io.Writer) *zap.Logger {
	config := zap.NewDevelopmentEncoderConfig()
	config.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	config.EncodeDuration = func(d time.Duration, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(d.Round(100 * time.Microsecond).String())
	}
	config.ConsoleSeparator = " "
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.AddSync(out), zap.DebugLevel))
}
