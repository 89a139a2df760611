// Package redial is a drop-in net.Dialer that says why a dial failed, retries
// what is worth retrying, and logs every attempt with zap.
//
// Replace net.Dialer{...} by redial.Dialer{Dialer: net.Dialer{...}}, and hand
// its DialContext to whatever takes a dialer:
//
//	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: logger}
//	conn, err := d.DialContext(ctx, "tcp", "db:5432")
//	client := &http.Client{Transport: redial.NewTransport(d, nil)}
//
// Each failed attempt gets a [Class]: refused, dns, timeout, unreachable and so
// on, decided by the structure of its error, the same on every operating
// system. The [Policy] has a backoff schedule for each class that is worth
// retrying; the others end the dial. Nothing outlives its caller: a dial ends
// with its context, does not begin a wait that would outlast it, and is bounded
// without one.
//
// The error of a dial keeps everything: [Error] has the class, the number of
// attempts and the reason for stopping, and errors.Is finds the last errno.
// [Explain] says what most likely happened, and what to check.
//
// The addresses of a name are raced (RFC 8305). [NewTransport] ends HTTP dials
// with the requests that wanted them. A [Gate] shares the backoff among the
// dials to one target. Package dialtest is for tests of programs that dial.
package redial
