package dialtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A target is the network and the address of a dial, parsed. Its methods return the errors of the
// dial.
type target struct {
	network string
	host    string
	isName  bool     // whether host is a name, to be resolved
	addr    net.Addr // what host resolves to
}

// resolve parses network and address as net.Dialer does, with the same errors. It asks no resolver:
// every name has the same address, which is reserved for documentation.
func resolve(network, address string) (target, error) {
	if address == "" {
		// Package net has its own error for an empty address, and returns it before doing any I/O.
		_, err := net.Dial(network, address)
		return target{}, err
	}
	t := target{network: network, host: address}
	var err error
	switch network {
	case "tcp", "tcp4", "tcp6":
		if address, err = t.named(address); err == nil {
			t.addr, err = net.ResolveTCPAddr(network, address)
		}
	case "udp", "udp4", "udp6":
		if address, err = t.named(address); err == nil {
			t.addr, err = net.ResolveUDPAddr(network, address)
		}
	case "unix", "unixgram", "unixpacket":
		t.addr, err = net.ResolveUnixAddr(network, address)
	default:
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return target{}, t.resolveError(err)
	}
	return t, nil
}

// named stores the host of address in t. It returns address with an IP address in place of a host
// name.
func (t *target) named(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	t.host = host
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return address, nil
	}
	t.isName = true
	return net.JoinHostPort(remoteIP(strings.HasSuffix(t.network, "6")).String(), port), nil
}

// remoteIP returns the address that every name resolves to. Like localIP's, it is reserved for
// documentation: RFC 5737 and RFC 3849.
func remoteIP(v6 bool) net.IP {
	if v6 {
		return net.ParseIP("2001:db8::1")
	}
	return net.IPv4(192, 0, 2, 1)
}

// localIP returns the local address of every connection.
func localIP(v6 bool) net.IP {
	if v6 {
		return net.ParseIP("2001:db8::2")
	}
	return net.IPv4(192, 0, 2, 2)
}

// resolveError returns the error of a dial that has no address to connect to.
func (t target) resolveError(err error) error {
	return &net.OpError{Op: "dial", Net: t.network, Err: err}
}

// connectError returns the error of a dial that failed to connect.
func (t target) connectError(err error) error {
	return &net.OpError{Op: "dial", Net: t.network, Addr: t.addr, Err: err}
}

// ended returns the error of a dial whose ctx is over while the dial is resolving or connecting.
func (t target) ended(ctx context.Context, resolving bool) error {
	err := ctx.Err()
	isTimeout := err == context.DeadlineExceeded
	switch {
	case isTimeout:
		err = errTimeout()
	case err == context.Canceled:
		err = errCanceled()
	}
	if !resolving {
		return t.connectError(err)
	}
	return t.resolveError(&net.DNSError{UnwrapErr: err, Err: err.Error(), Name: t.host, IsTimeout: isTimeout, IsTemporary: isTimeout})
}

// errCanceled and errTimeout return package net's own errors for a context that is over. Package
// net does not export the errors, so a dial gets them when they are first needed.
var (
	errCanceled = sync.OnceValue(func() error { return endOf(context.WithCancel(context.Background())) })
	errTimeout  = sync.OnceValue(func() error { return endOf(context.WithDeadline(context.Background(), time.Unix(1, 0))) })
)

// endOf cancels ctx and returns package net's error for a context that is over. It opens no socket.
func endOf(ctx context.Context, cancel context.CancelFunc) error {
	cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	return innerError(err, ctx.Err())
}

// innerError returns the error in a *net.OpError if it matches end, the error of a context.
// Otherwise package net has changed, and innerError returns end.
func innerError(err, end error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op != nil && errors.Is(op.Err, end) {
		return op.Err
	}
	return end
}
