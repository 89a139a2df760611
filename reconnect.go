package redial

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// Reconnect keeps a connection to address: it connects, calls use with the connection, and
// connects again when use fails. Use it in a daemon that holds a connection, such as a log
// shipper, the consumer of a queue, or a watcher:
//
//	err := redial.Reconnect(ctx, d, "tcp", "logs:601", connect, func(ctx context.Context, conn net.Conn) error {
//		return ship(ctx, conn, lines) // until the connection breaks
//	})
//
// Each connect is a dial as [Do] makes it, with d's bounds: by default, Reconnect gives up
// if it has not connected within 30 s. A negative MaxElapsed makes it try for ever.
//
// The context of use is ctx: it does not end with the attempt that has connected. When use
// returns, panics or exits, Reconnect closes the connection if it is an io.Closer. Use must
// return when ctx ends, because Reconnect cannot interrupt it.
//
// If use returns nil, Reconnect returns nil. Otherwise it classifies the error of use, by
// d.Classifier and then by [Classify]. If d.Policy retries the class, Reconnect waits as
// long as the schedule says, and connects again. This schedule goes on from one lost
// connection to the next, so that a server which accepts and closes at once sees no more
// connects than one which refuses. It starts anew after a connection that lasted a second
// longer than the wait before it.
//
// The error of Reconnect is a failed connect's, as Do returns it, or a *net.OpError around
// an [*Error] whose Err is the latest error of use: if its class is not retried, or if ctx,
// Deadline or Cancel ends Reconnect. Attempts is the number of connections then. If the next
// wait would outlast the deadline of ctx, or Deadline, Reconnect returns at once.
//
// A lost connection is logged at level Warn, at Error if it ends Reconnect, and at Info if
// the caller gave up; d.OnLost is called after that. A nil d means a zero Dialer.
func Reconnect[T any](ctx context.Context, d *Dialer, network, address string, connect func(context.Context) (T, error), use func(context.Context, T) error) error {
	if d == nil {
		d = new(Dialer)
	}
	k := keeper{dialer: d, ctx: ctx, network: network, address: address, start: time.Now()}
	for {
		value, err := Do(ctx, d, network, address, connect)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := useOnce(ctx, value, use); err == nil {
			return nil
		} else if stop := k.lost(err, time.Since(start)); stop != nil {
			return stop
		}
		if err := k.wait(); err != nil {
			return err
		}
	}
}

// useOnce calls use, and closes the value when use has ended.
func useOnce[T any](ctx context.Context, value T, use func(context.Context, T) error) error {
	defer (&made[T]{value: value}).Close()
	return use(ctx, value)
}

// A Loss is the record of a connection that [Reconnect] has lost. It is logged, and passed to
// Dialer.OnLost.
type Loss struct {
	Network, Address string        // as given to Reconnect
	Number           int           // of the connection, from 1
	Lasted           time.Duration // from the connect to the end of use
	Err              error         // as use returned it
	Class            Class         // of Err
	Delay            time.Duration // until the next connect; 0 if there is none
	Stop             Stop          // why there is no next connect; 0 if there is one
	Cause            error         // what context.Cause returns for the context that ended Reconnect; nil if none did

	tooClose bool // as in Error
}

// MarshalLogObject implements zapcore.ObjectMarshaler. The fields are network, address,
// connection, lasted, class, error, errno (if there is one), and delay, or stop and cause.
func (l Loss) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", l.Network)
	enc.AddString("address", userinfo.Hide(l.Network, l.Address))
	enc.AddInt("connection", l.Number)
	enc.AddDuration("lasted", l.Lasted)
	addFailure(enc, l.Class, l.Err)
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

// steadyFor is how much longer than the wait before it a connection lasts, for the schedule to
// start anew.
const steadyFor = time.Second

// A keeper knows the connections that one call of Reconnect has lost.
type keeper struct {
	dialer           *Dialer
	ctx              context.Context
	network, address string
	start            time.Time
	schedules        schedules // of the lost connections
	latest           Loss
}

// lost records a connection that lasted for the time given and ended with err. It returns the
// error of Reconnect if no other connection follows.
func (k *keeper) lost(err error, lasted time.Duration) error {
	if lasted >= k.latest.Delay+steadyFor {
		k.schedules = nil
	}
	l := Loss{Network: k.network, Address: k.address, Number: k.latest.Number + 1, Lasted: lasted, Err: err}
	over := k.over()
	if over.stop == ErrCanceled {
		l.Class = Canceled
	} else {
		l.Class = k.dialer.classify(err)
	}
	if l.Stop, l.Cause = over.stop, over.cause; l.Stop == 0 {
		l.Delay, l.Stop = k.next(l.Class)
		l.tooClose = l.Stop == ErrDeadline
	}
	k.latest = l
	k.record(&l)
	if l.Stop == 0 {
		return nil
	}
	return k.failure()
}

// next returns the wait after a lost connection, or why there is none.
func (k *keeper) next(class Class) (time.Duration, Stop) {
	policy := k.dialer.Policy
	if policy == nil {
		policy = defaultPolicy
	}
	schedule := k.schedules.of(class, policy)
	if schedule == nil || class == Canceled {
		return 0, ErrPermanent
	}
	delay := schedule.NextBackOff()
	if delay < 0 {
		return 0, ErrScheduleEnded
	}
	delay = max(delay, minDelay)
	if end := k.end(); !end.IsZero() && !time.Now().Add(delay).Before(end) {
		return 0, ErrDeadline
	}
	return delay, 0
}

// end returns the deadline of Reconnect, zero if it has none.
func (k *keeper) end() time.Time {
	deadline, _ := k.ctx.Deadline()
	return soonest(deadline, k.dialer.Deadline)
}

// over reports whether Reconnect is over, and why.
func (k *keeper) over() ending {
	return endingOf(k.ctx, k.dialer.Cancel, k.end(), ErrDeadline, time.Now())
}

// wait waits until the next connect. It returns the error of Reconnect if that is over before.
func (k *keeper) wait() error {
	timer := time.NewTimer(k.latest.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
	case <-k.dialer.Cancel:
	}
	over := k.over()
	if over.stop == 0 {
		return nil
	}
	k.latest.Stop, k.latest.Cause = over.stop, over.cause
	return k.failure()
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

// failure returns the error of Reconnect after the latest loss.
func (k *keeper) failure() *net.OpError {
	l := &k.latest
	e := &Error{Network: k.network, Address: k.address, Attempts: l.Number, Elapsed: time.Since(k.start),
		Class: l.Class, Err: l.Err, Stop: l.Stop, Cause: l.Cause, tooClose: l.tooClose}
	return e.asOpError()
}
