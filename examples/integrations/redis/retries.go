package main

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// retries is a redis.Hook that repeats a command until Redis serves it or the command's context
// ends. It takes the place of go-redis' MaxRetries. As there, a command whose connection breaks may
// run twice.
type retries struct {
	dialer  *redial.Dialer
	address string
	down    atomic.Bool // the latest dial has failed, or Redis was not ready
}

func newRetries(d *redial.Dialer, address string) *retries {
	again := *d
	if again.Gate == nil {
		again.Gate = new(redial.Gate) // one command at a time tries, and all go on when Redis is back
	}
	again.Logger = zap.NewNop() // the pool's dials are logged
	again.OnAttempt, again.OnDial = nil, nil
	again.Classifier = func(err error) redial.Class {
		switch {
		case isNotReady(err):
			return redial.Refused
		case d.Classifier != nil:
			return d.Classifier(err)
		}
		return redial.Unknown
	}
	return &retries{dialer: &again, address: address}
}

// isNotReady reports whether Redis has answered that it does not serve yet: it loads its data, or has
// lost its master, or has not become one yet.
func isNotReady(err error) bool {
	return redis.IsLoadingError(err) || redis.IsMasterDownError(err) || redis.IsReadOnlyError(err)
}

// isBroken reports whether err is of a connection that broke, not of a dial.
func isBroken(err error) bool {
	return err != nil && !isOfDial(err) && redial.Classify(err) == redial.Reset
}

func isOfDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

type withinKey struct{}

// do calls command until it succeeds or fails in another way than by a dial, a broken connection or
// a server that is not ready. A command that has timed out is not repeated.
func (r *retries) do(ctx context.Context, command func(context.Context) error) error {
	if ctx.Value(withinKey{}) != nil {
		return command(ctx) // a HELLO or AUTH, with which go-redis begins a connection for another command
	}
	ctx = context.WithValue(ctx, withinKey{}, true)
	var err error
	worthRetrying := func() bool {
		if err = command(ctx); isBroken(err) {
			err = command(ctx) // Redis has restarted, or has closed an idle connection
		}
		return isOfDial(err) || isNotReady(err) || isBroken(err)
	}
	tried := false
	if !r.down.Load() {
		if !worthRetrying() {
			return err
		}
		tried = true
		r.down.Store(true)
	}
	// The command keeps its own context: the attempt's would cut off a BLPOP.
	_, failed := redial.Do(ctx, r.dialer, "tcp", r.address, func(context.Context) (struct{}, error) {
		if !tried && !worthRetrying() && (err == nil || ctx.Err() == nil) {
			r.down.Store(false)
			return struct{}{}, nil
		}
		tried = false
		return struct{}{}, err
	})
	if failed != nil {
		return failed
	}
	return err
}

func (r *retries) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return r.do(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

func (r *retries) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return r.do(ctx, func(ctx context.Context) error { return next(ctx, cmds) })
	}
}

func (r *retries) DialHook(next redis.DialHook) redis.DialHook { return next }
