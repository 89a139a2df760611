package dialtest

import "net"

var _ net.Listener = (*Dialer)(nil)

// connect makes the connection of an outcome that has one. The end that is not
// returned waits for Accept, in a backlog without limit.
func (d *Dialer) connect(t target, o Outcome) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && o.kind == ok {
		o.kind = refuse
		return nil, o.failure(t)
	}
	near, far := newConn(t.network, d.localAddr(t.addr), t.addr)
	if o.kind == hangUp {
		far.Close()
		return near, nil
	}
	d.backlog = append(d.backlog, far)
	d.arrived.Signal()
	return near, nil
}

// The dynamic ports (RFC 6335, section 6).
const (
	firstPort = 49152
	numPorts  = 65536 - firstPort
)

// localAddr is where a connection to remote comes from: a port that none had
// before, until there is no other, and that is not the remote's, lest it be
// taken for a connection to itself.
func (d *Dialer) localAddr(remote net.Addr) net.Addr {
	switch remote := remote.(type) {
	case *net.TCPAddr:
		return &net.TCPAddr{IP: localIP(isIPv6(remote.IP)), Port: d.port(remote.Port)}
	case *net.UDPAddr:
		return &net.UDPAddr{IP: localIP(isIPv6(remote.IP)), Port: d.port(remote.Port)}
	}
	return &net.UnixAddr{Net: remote.Network()}
}

func isIPv6(ip net.IP) bool { return len(ip) > 0 && ip.To4() == nil }

func (d *Dialer) port(not int) int {
	for {
		port := firstPort + d.lastPort%numPorts
		d.lastPort++
		if port != not {
			return port
		}
	}
}

// Accept returns the other end of the connection that has waited longest, and
// waits for one if there is none: that of a dial that ended in [OK]. With it,
// Close and Addr, d can be given to a server: http.Serve(d, handler).
func (d *Dialer) Accept() (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.backlog) == 0 && !d.closed {
		d.arrived.Wait()
	}
	if d.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: d.Addr(), Err: net.ErrClosed}
	}
	c := d.backlog[0]
	d.backlog = d.backlog[1:]
	return c, nil
}

// Close ends Accept, closes the connections that wait for it, and makes every
// [OK] from then on a [Refuse], for nothing listens any more. A second Close
// returns an error that matches net.ErrClosed.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: d.Addr(), Err: net.ErrClosed}
	}
	d.closed = true
	d.arrived.Broadcast()
	for _, c := range d.backlog {
		c.Close()
	}
	d.backlog = nil
	return nil
}

// Addr returns the address that host names stand for, with no port: what is
// dialed says on which one d listens.
func (d *Dialer) Addr() net.Addr {
	return &net.TCPAddr{IP: remoteIP(false)}
}
