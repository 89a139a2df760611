package redial

import (
	"context"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// This file keeps a connection. A dial's backoff ends when the dial has connected. So lost connections
// have a backoff of their own, which goes on from one dial to the next.

// Reconnect connects, calls use with the connection, and connects again when use fails. Use it in a daemon,
// such as a log shipper:
//
//	err := redial.Reconnect(ctx, d, "tcp", "logs:601", connect, func(ctx context.Context, conn net.Conn) error {
//		defer context.AfterFunc(ctx, func() { conn.Close() })()
//		return ship(conn, lines) // until the connection breaks
//	})
//
// Each connect is a [Do] with d's bounds: by default, Reconnect gives up if it has not connected within
// 30 s. A negative MaxElapsed makes it try for ever.
//
// The context of use is ctx; use must return when ctx ends. When use returns, panics or exits, Reconnect
// closes the connection if it is an io.Closer.
//
// If use returns nil, Reconnect returns nil. Otherwise it classifies the error: set a Classifier for errors
// of protocols. If d.Policy retries the class, Reconnect waits as the schedule says, and connects again. The
// schedule starts anew after a connection that lasted a second longer than the wait before it.
//
// The error is a failed dial's, or is about the last lost connection: a *net.OpError around an [*Error],
// with use's error as Err and the number of connections as Attempts. It is about the connection if its
// class is not retried, or if the caller gives up before the next dial fails.
//
// A lost connection is logged at level Warn, at Error if it ends Reconnect, and at Info if the caller gave
// up. A nil d means a zero Dialer.
func Reconnect[T any](ctx context.Context, d *Dialer, network, address string, connect func(context.Context) (T, error), use func(context.Context, T) error) error {
	if d == nil {
		d = new(Dialer)
	}
	k := keeper{dialer: d, ctx: ctx, network: network, address: address, start: time.Now()}
	for {
		value, err := Do(ctx, d, network, address, connect)
		if err != nil {
			return k.dialFailed(err)
		}
		connected := time.Now()
		if err = useOnce(ctx, value, use); err == nil {
			return nil
		}
		k.lost(err, time.Since(connected))
		if k.latest.Stop != 0 {
			return k.failure()
		}
		k.wait()
	}
}

// useOnce calls use, and closes value when use returns, panics or exits.
func useOnce[T any](ctx context.Context, value T, use func(context.Context, T) error) error {
	defer (&made[T]{value: value}).Close()
	return use(ctx, value)
}

// A Loss is the record of a connection that [Reconnect] has lost.
type Loss struct {
	Network, Address string        // as given to Reconnect
	Number           int           // from 1
	Lasted           time.Duration // from the connect to the end of use
	Err              error         // from use
	Class            Class         // of Err
	Delay            time.Duration // until the next connect; 0 if none follows
	Stop             Stop          // why none follows; 0 if one does
	Cause            error         // as in Error

	tooClose bool // as in Error
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l Loss) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", l.Network)
	enc.AddString("address", userinfo.Hide(l.Network, l.Address))
	enc.AddInt("connection", l.Number)
	enc.AddDuration("lasted", l.Lasted)
	addFailure(enc, l.Class, l.Err, l.Network, l.Address)
	if l.Delay > 0 {
		enc.AddDuration("delay", l.Delay)
	}
	addStop(enc, l.Stop, l.Cause, l.tooClose)
	return nil
}

const (
	msgLost         = "connection lost"
	msgReconnecting = "connection lost, will reconnect"
)

// steadyFor is how much longer than the wait before it a connection must last for the schedule to
// start anew.
const steadyFor = time.Second

// A keeper knows which connections one call of Reconnect has lost, and decides what follows.
type keeper struct {
	dialer           *Dialer
	ctx              context.Context
	network, address string
	start            time.Time
	schedules        schedules
	latest           Loss // zero before the first
}

// lost decides what follows a connection that ended with err, and records the loss.
func (k *keeper) lost(err error, lasted time.Duration) {
	if lasted >= k.latest.Delay+steadyFor {
		k.schedules = nil
	}
	l := Loss{Network: k.network, Address: k.address, Number: k.latest.Number + 1, Lasted: lasted, Err: err, Class: k.dialer.classify(err)}
	deadline, _ := k.ctx.Deadline()
	end := soonest(deadline, k.dialer.Deadline)
	over := endingOf(k.ctx, k.dialer.Cancel, end, ErrDeadline, time.Now())
	switch l.Stop, l.Cause = over.stop, over.cause; l.Stop {
	case 0:
		l.Delay, l.Stop = k.next(l.Class, end)
		l.tooClose = l.Stop == ErrDeadline
	case ErrCanceled:
		l.Class = Canceled
	}
	k.latest = l
	k.record(&l)
}

// next returns how long to wait after a loss of that class, or why no other connection follows.
func (k *keeper) next(class Class, end time.Time) (time.Duration, Stop) {
	policy := k.dialer.Policy
	if policy == nil {
		policy = defaultPolicy
	}
	if class == Canceled {
		return 0, ErrPermanent
	}
	schedule := k.schedules.of(class, policy)
	if schedule == nil {
		return 0, ErrPermanent
	}
	delay := schedule.NextBackOff()
	if delay < 0 {
		return 0, ErrScheduleEnded
	}
	delay = max(delay, minDelay)
	if !end.IsZero() && !time.Now().Add(delay).Before(end) {
		return 0, ErrDeadline
	}
	return delay, 0
}

// wait waits until the next connect is due, or until the caller gives up. The next dial notices that,
// and records it.
func (k *keeper) wait() {
	timer := time.NewTimer(k.latest.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
	case <-k.dialer.Cancel:
	}
}

func (k *keeper) record(l *Loss) {
	level, msg := zapcore.WarnLevel, msgReconnecting
	switch l.Stop {
	case 0:
	case ErrCanceled:
		level, msg = zapcore.InfoLevel, msgLost
	default:
		level, msg = zapcore.ErrorLevel, msgLost
	}
	if entry := k.dialer.logger().Check(level, msg); entry != nil {
		entry.Write(zap.Inline(*l))
	}
	if k.dialer.OnLost != nil {
		k.dialer.OnLost(k.ctx, *l)
	}
}

// dialFailed returns the error of Reconnect after a dial has failed with err. The error is about the
// latest loss if the caller gave up before the dial had failed otherwise.
func (k *keeper) dialFailed(err error) error {
	e, ok := foreign.As[*Error](err)
	if !ok || k.latest.Number == 0 || e.Attempts > 0 && (e.Stop != ErrCanceled || e.Class != Canceled) {
		return err
	}
	k.latest.Stop, k.latest.Cause = e.Stop, e.Cause
	return k.failure()
}

// failure returns the error of Reconnect that ends with the latest loss.
func (k *keeper) failure() error {
	l := &k.latest
	e := &Error{Network: k.network, Address: k.address, Attempts: l.Number, Elapsed: time.Since(k.start),
		Class: l.Class, Err: l.Err, Stop: l.Stop, Cause: l.Cause, tooClose: l.tooClose}
	return e.asOpError()
}
