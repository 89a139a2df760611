package main

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/redialprom"
)

// The load on each Dialer.
const (
	each  = 50 * time.Millisecond // a new dial, all the time
	crowd = 200                   // dials at once when the server goes down
)

// A storm is two programs that dial the same server, one of them with a Gate.
type storm struct {
	port    string
	dialers []*redial.Dialer
}

func newStorm(registry *prometheus.Registry, budget time.Duration) (*storm, error) {
	s := new(storm)
	for _, name := range []string{"alone", "gate"} {
		d := &redial.Dialer{Logger: zap.NewNop(), MaxElapsed: budget}
		if name == "gate" {
			d.Gate = new(redial.Gate)
		}
		m := redialprom.New(redialprom.Opts{Name: name})
		m.Instrument(d)
		if err := registry.Register(m); err != nil {
			return nil, err
		}
		s.dialers = append(s.dialers, d)
	}
	// The port is outside the range from which the kernel picks local ports, so that no dial of the storm
	// can take it. It is drawn at random, because another storm may run on this machine.
	for tries := 0; ; tries++ {
		port := 20000 + rand.N(10000)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			s.port = strconv.Itoa(port)
			return s, ln.Close()
		}
		if tries == 100 {
			return nil, err
		}
	}
}

// run dials from begin on. The server is up for calm, then down, then up for calm.
func (s *storm) run(ctx context.Context, begin time.Time, calm, down time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, time.Until(begin)+2*calm+down)
	defer cancel()
	stop := s.serve()
	defer func() { stop() }()
	var dials sync.WaitGroup
	defer dials.Wait()
	dial := func(n int) {
		for _, d := range s.dialers {
			for range n {
				dials.Go(func() {
					if conn, err := d.DialContext(ctx, "tcp", "localhost:"+s.port); err == nil {
						conn.(*net.TCPConn).SetLinger(0) // leaves no TIME_WAIT
						conn.Close()
					}
				})
			}
		}
	}
	goesDown, comesBack := time.After(time.Until(begin)+calm), time.After(time.Until(begin)+calm+down)
	ticker := time.NewTicker(each)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			dial(1)
		case <-goesDown:
			stop()
			dial(crowd)
		case <-comesBack:
			stop = s.serve()
		case <-ctx.Done():
			return
		}
	}
}

// serve accepts connections on IPv4 only, and holds each until the other end drops it.
func (s *storm) serve() (stop func()) {
	var ln net.Listener
	for tries := 0; ; tries++ {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:"+s.port); err == nil {
			break
		}
		if tries == 50 {
			panic(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				conn.Read(make([]byte, 1))
				conn.Close()
			}()
		}
	}()
	return func() { ln.Close() }
}
