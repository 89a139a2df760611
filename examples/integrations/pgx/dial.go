package main

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-33f8b841/redial"
)

// pgx looks up a host, and then connects to each address and logs in, until one server lets it in. Only
// pgx can tell that a server is a standby, or has no connection left. A Dialer races the addresses of a
// name, so that a silent one costs 0.3 s. This file gives pgx both.

// byName is the key of a context's value for pgx within withRetries: true if pgx gets the name of a host
// in place of its addresses, so that the Dialer races them.
type byName struct{}

// dialThrough makes config dial through d. Call it once for each config.
//
// Within withRetries, d makes one attempt a dial. Otherwise pgx tries each address once. If none
// connects and the connection string has one host only, pgx gets the name as one more address, which
// d retries. If there are other hosts, retries at one would hold up the next.
func dialThrough(d *redial.Dialer, config *pgx.ConnConfig) {
	lookUp, validate, only := config.LookupFunc, config.ValidateConnect, onlyAddress(config)
	if d.Resolver != nil {
		lookUp = d.Resolver.LookupHost
	}
	once := *d
	once.MaxAttempts = 1
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		named, within := ctx.Value(byName{}).(bool)
		if named {
			return []string{host}, nil
		}
		addresses, err := lookUp(ctx, host)
		if within || only == "" || slices.Contains(addresses, host) {
			return addresses, err
		}
		return append(addresses, host), nil
	}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == only {
			return d.DialContext(ctx, network, address)
		}
		return once.DialContext(ctx, network, address)
	}
	if validate == nil {
		return
	}
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		err := validate(ctx, conn)
		if named, _ := ctx.Value(byName{}).(bool); named {
			if e, ok := errors.AsType[*pgconn.NotPreferredError](err); ok {
				return e.Unwrap() // another address may be a standby, so pgx must not make do with this one yet
			}
		}
		return err
	}
}

// onlyAddress returns the address of config's host. It returns "" if config has several hosts.
func onlyAddress(config *pgx.ConnConfig) string {
	for _, other := range config.Fallbacks { // with sslmode=prefer, the same host without TLS
		if other.Host != config.Host || other.Port != config.Port {
			return ""
		}
	}
	_, address := pgconn.NetworkAddress(config.Host, config.Port)
	return address
}

// withRetries calls connect until pgx has connected, or d gives up. In each attempt, d races the
// addresses. If the server that d has connected to does not let pgx in, pgx goes through the addresses
// in turn, as it does alone. After a timeout, the next attempt begins with another address. If config has
// a connect_timeout, it bounds each address, and nothing else must end the attempt.
func withRetries[T any](ctx context.Context, d *redial.Dialer, config *pgx.ConnConfig, connect func(context.Context) (T, error)) (T, error) {
	whole := *d
	if config.ConnectTimeout > 0 {
		whole.Timeout = math.MaxInt64
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	return redial.Do(ctx, &whole, network, address, func(ctx context.Context) (T, error) {
		value, err := connect(context.WithValue(ctx, byName{}, true))
		if err == nil || !turnedAway(err) {
			return value, err
		}
		return connect(context.WithValue(ctx, byName{}, false))
	})
}

// turnedAway reports whether a server has answered, or hung up.
func turnedAway(err error) bool {
	switch redial.Classify(err) {
	case redial.Reset, redial.TLS, redial.Unknown:
		return startingUp(err) == redial.Unknown
	}
	return false
}

// startingUp goes into the field Classifier. A server that starts up, recovers from a crash or
// shuts down accepts, but then answers 57P03 (cannot_connect_now).
func startingUp(err error) redial.Class {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "57P03" {
		return redial.Refused
	}
	return redial.Unknown
}
