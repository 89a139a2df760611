package redialprom_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialprom"
)

// dialAndDrop connects and resets the connection. A closed connection would keep its port in
// TIME_WAIT, and the ports would run out.
func dialAndDrop(b *testing.B, d *redial.Dialer, address string) {
	conn, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// BenchmarkDial compares an instrumented Dialer with a bare one, on loopback. "overhead" alternates
// between the two, so that the machine's noise is the same for both. It reports the
// difference of the medians.
func BenchmarkDial(b *testing.B) {
	address := testutil.Listen(b, "tcp", "127.0.0.1:0", func(net.Conn) {}).Addr().String()
	bare := &redial.Dialer{Logger: zap.NewNop()}
	instrumented := &redial.Dialer{Logger: zap.NewNop()}
	redialprom.New(redialprom.Opts{}).Instrument(instrumented, "bench")
	for name, d := range map[string]*redial.Dialer{"bare": bare, "instrumented": instrumented} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dialAndDrop(b, d, address)
			}
		})
	}
	b.Run("overhead", func(b *testing.B) {
		dialers := [2]*redial.Dialer{bare, instrumented}
		var took [2][]time.Duration
		for i := 0; b.Loop(); i++ {
			for j := range dialers {
				which := (i + j) % 2 // each is first in every other round
				start := time.Now()
				dialAndDrop(b, dialers[which], address)
				took[which] = append(took[which], time.Since(start))
			}
		}
		for i := range took {
			slices.Sort(took[i])
		}
		without, with := took[0][len(took[0])/2], took[1][len(took[1])/2]
		b.ReportMetric(float64(with-without), "ns-more/op")
		b.ReportMetric(100*float64(with-without)/float64(without), "%-more")
	})
}

// BenchmarkDialFunc measures what an instrumented Dialer costs beside an inner dialer that returns
// at once, for a success and for a failure.
func BenchmarkDialFunc(b *testing.B) {
	conn, _ := net.Pipe()
	refused := errorOfRefusal(b)
	for outcome, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"ok":      func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		"refused": func(context.Context, string, string) (net.Conn, error) { return nil, refused },
	} {
		for _, name := range []string{"bare", "instrumented"} {
			d := &redial.Dialer{DialFunc: dial, Logger: zap.NewNop(), Policy: redial.Policy{}}
			if name == "instrumented" {
				redialprom.New(redialprom.Opts{}).Instrument(d, "bench")
			}
			b.Run(outcome+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					d.Dial("tcp", "a.test:80")
				}
			})
		}
	}
}

func errorOfRefusal(b *testing.B) error {
	_, err := net.Dial("tcp", testutil.RefusingAddress(b, "tcp"))
	if err == nil {
		b.Fatal("not refused")
	}
	return err
}
