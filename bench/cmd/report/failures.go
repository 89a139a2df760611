//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/bench"
)

var errRefused error = &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func failures() *measurement {
	dialers := bench.Named("redial", "backoff v4", "backoff v5", "retry-go", "failsafe-go", "go-retry")
	attempts := newTable("A failed attempt and the wait of 1 ms after it", names(dialers),
		less("CPU, no connect", nanoseconds, "redial"), less("bytes", bytes, "redial"), less("allocations", count, "redial"),
		less("CPU, refused connect", nanoseconds, "redial"))
	const alone, logged, bare = "a failed attempt, no logger", "redial: a failed attempt, JSON record", "zap: a record with the same 9 fields"
	logs := newTable("A record", []string{logged, alone, bare},
		less("time", nanoseconds, bare), less("bytes", bytes, bare), less("allocations", count, bare))
	for _, c := range logs.columns {
		c.better = false
	}
	once := func(s scope, round int) error {
		closed, err := newDeadPort()
		if err != nil {
			return err
		}
		defer closed.close()
		fail := func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }
		for _, i := range turn(len(dialers), round) {
			d := dialers[i]
			o := bench.Options{Connect: fail, Attempts: pick(s, 20, 5), Delay: func(int) time.Duration { return time.Millisecond }}
			crowd := func(o bench.Options) {
				dial := d.New(o)
				var all sync.WaitGroup
				for range pick(s, 400, 20) {
					all.Go(func() { dial(context.Background(), "tcp", closed.address) })
				}
				all.Wait()
			}
			n := float64(o.Attempts * pick(s, 400, 20))
			crowd(o) // warm
			before := cpuTime()
			bytes, number := allocations(func() { crowd(o) })
			attempts.columns[0].add(d.Name, float64(cpuTime()-before)/n)
			attempts.columns[1].add(d.Name, bytes/n)
			attempts.columns[2].add(d.Name, number/n)
			o.Connect = nil
			before = cpuTime()
			crowd(o)
			attempts.columns[3].add(d.Name, float64(cpuTime()-before)/n)
		}

		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.DebugLevel))
		silent := bench.Named("redial")[0].New(bench.Options{Connect: fail, Attempts: 1})
		loud := bench.Named("redial")[0].New(bench.Options{Connect: fail, Attempts: 1, Logger: logger})
		start := time.Now()
		stop := errors.New("not to be retried")
		failing := func(dial bench.Dial) func() error {
			return func() error {
				if _, err := dial(context.Background(), "tcp", "192.0.2.1:80"); err == nil {
					return errors.New("the dial has connected")
				}
				return nil
			}
		}
		return compare(logs, []func() error{failing(loud), failing(silent), func() error {
			logger.Warn("dial failed", zap.String("network", "tcp"), zap.String("address", "192.0.2.1:80"), zap.Int("attempt", 1),
				zap.Duration("duration", time.Since(start)), zap.Duration("elapsed", time.Since(start)), zap.String("class", "refused"),
				zap.String("error", errRefused.Error()), zap.String("errno", syscall.ECONNREFUSED.Error()), zap.String("stop", stop.Error()))
			return nil
		}}, pick(s, 300, 5), 50, round)
	}
	return &measurement{
		title: "A failed attempt",
		about: "In the first table, 400 dials make 20 attempts each, 1 ms apart. CPU is the time that the process uses (getrusage), including the timer of the wait and the switches between goroutines. " +
			"In the second table, a dial makes one attempt (`MaxAttempts` 1), whose error is made beforehand. The record is written as JSON to `io.Discard`.",
		once:   once,
		tables: []*table{attempts, logs},
		quotes: []quote{{key: "failure", t: attempts, rows: []string{"redial", "backoff v5"}, columns: []string{"CPU, no connect", "CPU, refused connect"}}},
		after: "The peers do not classify the error, and keep nothing of an attempt (retry-go keeps its error). redial makes a context for each attempt, " +
			"so that a dial within it does not retry and the attempt ends in time.",
	}
}
