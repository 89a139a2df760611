package dialtest

import "net"

var _ net.Listener = (*Dialer)(nil)

// connect makes the connection for o, which is OK or HangUp, and returns the dialing end. For OK,
// the other end waits in the backlog, which has no limit, until Accept returns it.
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

// localAddr returns the local address of a connection to remote. Its port is new, until all ports
// have been used. Its port is never remote's port, so that nobody takes the connection for a
// self-connection.
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

// Accept returns the other end of a connection that a dial made with [OK]. It returns the
// connection that has waited longest; if none waits, Accept blocks until one does. With Accept,
// Close and Addr, d is a net.Listener for a server: http.Serve(d, handler).
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

// Close stops listening. Accept returns an error from then on, also where it already waits. Close
// closes the connections that wait for Accept. Every later [OK] becomes a [Refuse]. A second Close
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

// Addr returns the IPv4 address that host names resolve to. Its port is 0, because d listens on
// every port that is dialed.
func (d *Dialer) Addr() net.Addr {
	return &net.TCPAddr{IP: remoteIP(false)}
}
