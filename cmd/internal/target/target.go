// Package target is what the programs probe and waitfor know about targets: how to
// read one from an argument, how to ask a connection for TLS and HTTP, and what to
// advise if that fails.
package target

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A Target is what to connect to, and what to ask for once connected.
type Target struct {
	Name    string // as given, but without a password, and printable
	Scheme  string // of the URL, or the network
	Network string // with Address, as for net.Dial
	Address string

	ServerName string   // for the TLS handshake; empty: no handshake
	URL        *url.URL // for the HTTP request; nil: no request
}

// AsksNothing reports whether a connection to the target is all that is asked for.
func (t Target) AsksNothing() bool {
	return t.ServerName == "" && t.URL == nil && (strings.HasPrefix(t.Network, "tcp") || t.Network == "unix")
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

// First reads the target that args begin with. If the port stands apart from the host, the
// error says how to write them.
func First(args []string) (Target, error) {
	t, err := Parse(args[0])
	if err != nil && len(args) > 1 && !strings.Contains(args[0], "://") && IsPort(args[1]) {
		host := strings.Trim(args[0], "[]")
		return t, fmt.Errorf("%s: give host and port as one: %s", t.Name, cli.Foreign(net.JoinHostPort(host, args[1])))
	}
	return t, err
}

// IsPort reports whether an argument is the number of a port.
func IsPort(arg string) bool {
	_, err := strconv.ParseUint(arg, 10, 16)
	return err == nil
}

// Parse reads host:port, unix:/path, http+unix:///path:/health, or a URL with a
// host. It finds what net.Dial would refuse, and shows no password in its error.
func Parse(arg string) (Target, error) {
	if path, ok := strings.CutPrefix(arg, "unix:"); ok {
		t, err := On("unix", strings.TrimPrefix(path, "//"))
		t.Name = cli.Foreign(arg)
		return t, err
	}
	if rest, ok := strings.CutPrefix(arg, "http+unix:"); ok {
		return withName(shown(arg))(httpOverUnix(strings.TrimPrefix(rest, "//")))
	}
	if strings.Contains(arg, "://") {
		return withName(shown(arg))(parseURL(arg))
	}
	return On("tcp", arg)
}

// On returns the target at an address of a network of net.Dial.
func On(network, address string) (Target, error) {
	t := Target{Name: cli.Foreign(network + " " + address), Scheme: network, Network: network, Address: address}
	if strings.HasPrefix(network, "unix") {
		if address == "" {
			return t, errors.New("the path is missing: give unix:/run/app.sock")
		}
		return t, nil
	}
	shown := shown(address)
	t.Name = cli.Foreign(network) + " " + shown
	if network == "tcp" {
		t.Name = shown
	}
	switch {
	case strings.Contains(address, "://"):
		return t, fmt.Errorf("%s is a URL: give it without the network %s", shown, cli.Foreign(network))
	case strings.Contains(address, "@"):
		return t, fmt.Errorf("%s has a user name in it: give host:port alone", shown)
	}
	if slices.Contains(networks, network) {
		if strings.HasPrefix(address, "/") || strings.HasPrefix(address, ".") {
			return t, fmt.Errorf("%s is a path. Write unix:%s", shown, shown)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return t, fmt.Errorf("%s: %s", t.Name, explain.Error(err))
		}
	}
	return t, nil
}

// shown returns an argument as it is printed.
func shown(arg string) string { return cli.Foreign(cli.Redact(arg)) }

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

func parseURL(arg string) (Target, error) {
	u, err := url.Parse(arg)
	if err != nil {
		return Target{}, wrongURL(arg, err)
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = plain.Port(u.Scheme)
	}
	switch {
	case host == "":
		return Target{}, fmt.Errorf("the host is missing: give %s://host:port", u.Scheme)
	case port == "":
		return Target{}, fmt.Errorf("the port is missing: give %s:port", cli.Foreign(hostOf(u)))
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

// hostOf returns the host of a URL, with the scheme if that matters for connecting.
func hostOf(u *url.URL) string {
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if slices.Contains(networks, u.Scheme) || u.Scheme == "tls" {
		return u.Scheme + "://" + host
	}
	return host
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
	return errors.New("this is not a URL: " + cli.Foreign(err.Error()))
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
