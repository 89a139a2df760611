// Package target is what the programs probe and waitfor know about targets: how
// to read one from an argument, how to show it without its password, and how to
// ask a connection for TLS and HTTP.
package target

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// A Target is what to connect to, and what to ask for once connected.
type Target struct {
	Name    string // as given, but without a password
	Scheme  string // of the URL, or the network
	Network string // with Address, as for net.Dial
	Address string

	ServerName string   // for the TLS handshake; empty: no handshake
	URL        *url.URL // for the HTTP request; nil: no request
}

// networks are the networks of net.Dial that take a host and a port.
var networks = []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}

// otherNetworks are the networks of net.Dial that take something else.
var otherNetworks = []string{"unix", "unixgram", "unixpacket", "ip", "ip4", "ip6"}

// IsNetwork reports whether net.Dial knows the network. An IP network may name
// its protocol, as in ip4:icmp.
func IsNetwork(name string) bool {
	if before, _, ok := strings.Cut(name, ":"); ok && strings.HasPrefix(before, "ip") {
		name = before
	}
	return slices.Contains(networks, name) || slices.Contains(otherNetworks, name)
}

// Parse reads host:port, unix:/path, http+unix:///path:/health, or a URL with a
// host. It finds what net.Dial would refuse, and shows no password in its error.
func Parse(arg string) (Target, error) {
	if path, ok := strings.CutPrefix(arg, "unix:"); ok {
		t, err := On("unix", strings.TrimPrefix(path, "//"))
		t.Name = arg
		return t, err
	}
	if rest, ok := strings.CutPrefix(arg, "http+unix:"); ok {
		return withName(Redact(arg))(httpOverUnix(strings.TrimPrefix(rest, "//")))
	}
	if strings.Contains(arg, "://") {
		return withName(Redact(arg))(parseURL(arg))
	}
	return On("tcp", arg)
}

// On returns the target at an address of a network of net.Dial.
func On(network, address string) (Target, error) {
	t := Target{Name: network + " " + address, Scheme: network, Network: network, Address: address}
	if strings.HasPrefix(network, "unix") {
		if address == "" {
			return t, errors.New("the path is missing: give unix:/run/app.sock")
		}
		return t, nil
	}
	shown := Redact(address)
	t.Name = network + " " + shown
	if network == "tcp" {
		t.Name = shown
	}
	switch {
	case strings.Contains(address, "://"):
		return t, fmt.Errorf("%s is a URL: give it without the network %s", shown, network)
	case strings.Contains(address, "@"):
		return t, fmt.Errorf("%s has a user name in it: give host:port alone", shown)
	}
	if slices.Contains(networks, network) {
		if strings.HasPrefix(address, "/") || strings.HasPrefix(address, ".") {
			return t, fmt.Errorf("%s is a path. Write unix:%s", shown, shown)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return t, err
		}
	}
	return t, nil
}

// withName returns a function that sets the name of a target, and puts the name in
// front of the error.
func withName(name string) func(Target, error) (Target, error) {
	return func(t Target, err error) (Target, error) {
		t.Name = name
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return t, err
	}
}

// defaultPorts are the ports of the schemes that have one here.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

func parseURL(arg string) (Target, error) {
	u, err := url.Parse(arg)
	if err != nil {
		return Target{}, wrongURL(arg, err)
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	switch {
	case host == "":
		return Target{}, fmt.Errorf("the host is missing: give %s://host:port", u.Scheme)
	case port == "":
		return Target{}, fmt.Errorf("the port is missing: give %s://%s:port", u.Scheme, host)
	}
	t := Target{Scheme: u.Scheme, Network: "tcp", Address: net.JoinHostPort(host, port)}
	if slices.Contains(networks, u.Scheme) {
		t.Network = u.Scheme
	}
	if u.Scheme == "https" || u.Scheme == "tls" {
		t.ServerName = host
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		t.URL = u
	}
	return t, nil
}

// wrongURL says what is wrong with a URL. The error of package url quotes parts
// of it, which may be parts of its password.
func wrongURL(arg string, err error) error {
	if strings.Contains(arg, "@") {
		return errors.New("this is not a URL: in a user name or password write %2F for /, %3A for :, %40 for @ and %25 for %")
	}
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err
	}
	return fmt.Errorf("this is not a URL: %w", err)
}

// httpOverUnix reads what follows http+unix://: the socket's path, a colon and
// the path of the URL. A user and a password may come before the socket's path.
func httpOverUnix(rest string) (Target, error) {
	user := ""
	if before, socket, ok := strings.Cut(rest, "@/"); ok && !strings.HasPrefix(rest, "/") {
		user, rest = before+"@", "/"+socket
	}
	socket, path := rest, "/"
	if i := strings.Index(rest, ":/"); i >= 0 {
		socket, path = rest[:i], rest[i+1:]
	}
	if socket == "" {
		return Target{}, errors.New("the path is missing: give http+unix:///run/app.sock:/health")
	}
	u, err := url.Parse("http://" + user + "localhost" + path)
	if err != nil {
		return Target{}, wrongURL(user, err)
	}
	return Target{Scheme: "http+unix", Network: "unix", Address: socket, URL: u}, nil
}
