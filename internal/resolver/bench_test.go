package resolver

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkResolver compares a look-up of two addresses by For's resolver with package net's own,
// with a DNS server on loopback that answers after 1 ms. It needs no more queries, and a few small
// allocations.
func BenchmarkResolver(b *testing.B) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(b, err)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer packets.Close()
	serving.Go(func() {
		for message := make([]byte, 1232); ; {
			n, from, err := packets.ReadFrom(message)
			if err != nil {
				return
			}
			time.Sleep(time.Millisecond)
			text, _ := questionOf(message[:n])
			q := dnsQuery{message: message[:n], kind: int(text[len(text)-3])}
			packets.WriteTo(q.reply(dnsRecursion, dns4, dns6).message, from)
		}
	})
	theirs := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, packets.LocalAddr().String())
	}}
	for _, c := range []struct {
		name   string
		lookUp func(ctx context.Context) error
	}{
		{"net", func(ctx context.Context) error {
			_, err := theirs.LookupNetIP(ctx, "ip", "db.test.")
			return err
		}},
		{"redial", func(ctx context.Context) error {
			_, err := For(theirs).LookupNetIP(context.WithValue(ctx, LogKey{}, &Log{Patience: time.Second}), "ip", "db.test.")
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.lookUp(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
