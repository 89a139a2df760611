package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
)

// A target is what to wait for: an address that is to accept connections or,
// with a URL, to answer.
type target struct {
	name             string // as it was given
	network, address string
	url              *url.URL // nil: to accept is enough
}

// parseTarget takes host:port, tcp://host:port, unix:/path and http URLs. What
// net.Dial could not take is said now, not after the wait.
func parseTarget(arg string) (target, error) {
	t := target{name: arg, network: "tcp", address: arg}
	if path, ok := strings.CutPrefix(arg, "unix:"); ok {
		t.network, t.address = "unix", path
		if strings.HasPrefix(path, "//") {
			t.address = strings.TrimPrefix(path, "//")
		}
		if t.address == "" {
			return t, fmt.Errorf("%s: which path?", arg)
		}
		return t, nil
	}
	if strings.Contains(arg, "://") {
		u, err := url.Parse(arg)
		if err != nil {
			return t, err
		}
		t.address = u.Host
		switch u.Scheme {
		case "tcp":
		case "http", "https":
			if u.Hostname() == "" {
				return t, fmt.Errorf("%s: which host?", arg)
			}
			t.url = u
			if u.Port() == "" {
				t.address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
			}
		default:
			return t, fmt.Errorf("%s: how to wait for %s is not known here: give host:port", arg, u.Scheme)
		}
	}
	if _, _, err := net.SplitHostPort(t.address); err != nil {
		return t, fmt.Errorf("%s: %s", arg, redial.Explain(err))
	}
	return t, nil
}

// Of the classes of failure, these can't go away by waiting.
var hopeless = []redial.Class{redial.Invalid, redial.Canceled}

// A target is gone when the system says so.
var gone = []redial.Class{redial.Refused, redial.NotFound}

// policy retries whatever may still change, including a name that does not exist
// yet. A retry comes soon, because a user waits for it: after a second at most.
func policy(except []redial.Class) redial.Policy {
	schedule := redial.Exponential(100*time.Millisecond, time.Second)
	p := make(redial.Policy)
	for class := redial.Unknown; class <= redial.Canceled; class++ {
		if !slices.Contains(except, class) {
			p[class] = schedule
		}
	}
	return p
}

// wait waits for the target by one dial: it is the Dialer that retries. With
// -not the dial is the other way round: a connection is a failure, to be
// retried, and the classes that tell that the target is gone end it.
func (t target) wait(ctx context.Context, o *options, attempted func(redial.Attempt)) error {
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: o.attempt},
		Policy:     policy(hopeless),
		MaxElapsed: -1, // ctx has the limit, if there is one
		OnAttempt:  func(_ context.Context, a redial.Attempt) { attempted(a) },
	}
	switch {
	case o.not:
		d.Policy = policy(slices.Concat(gone, hopeless))
		d.Verify = func(context.Context, net.Conn) error { return errStillThere }
	case t.url != nil:
		d.Verify = t.answers
	}
	conn, err := d.DialContext(ctx, t.network, t.address)
	if err == nil {
		conn.Close()
		return nil
	}
	if o.not && slices.Contains(gone, redial.Classify(err)) {
		return nil
	}
	return err
}

// errStillThere is the failure of a target that is to be gone.
var errStillThere = errors.New("still there")

// A statusError is the failure of a URL that answered with that status.
type statusError string

func (s statusError) Error() string { return "it answered " + string(s) }

// answers asks for the URL on a connection just made, and wants a status below
// 500. It is the Dialer's Verify: a failure is one of the attempt, and retried
// as any other.
func (t target) answers(ctx context.Context, conn net.Conn) error {
	if t.url.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: t.url.Hostname()})
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = secure
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.String(), nil)
	if err != nil {
		return err
	}
	request.Close = true
	request.Header.Set("User-Agent", "waitfor")
	if t.url.User != nil {
		password, _ := t.url.User.Password()
		request.SetBasicAuth(t.url.User.Username(), password)
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return err
	}
	// The body is left unread, and unclosed, which would read it: it may be
	// endless. The connection is closed, and nothing else holds it.
	if response.StatusCode >= 500 {
		return statusError(response.Status)
	}
	return nil
}
