// Package redial is a drop-in net.Dialer that says why a dial failed, retries what is
// worth retrying, and logs every attempt with zap.
//
// Replace net.Dialer{...} by redial.Dialer{Dialer: net.Dialer{...}}, and pass its
// DialContext to whatever takes a dialer:
//
//	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: logger}
//	conn, err := d.DialContext(ctx, "tcp", "db:5432")
//	client := &http.Client{Transport: redial.NewTransport(d, nil)}
//
// Each failed attempt gets a [Class]: refused, dns, timeout, unreachable and so on.
// The class is decided by the structure of the error and is the same on every
// operating system. The [Policy] has a backoff schedule for each class that is worth
// retrying; the other classes end the dial. A dial ends with its context, and after
// 30 s by default. It uses that time if it must: the last wait is shortened so that
// one more attempt fits.
//
// The error of a dial keeps everything. [Error] has the class, the number of attempts
// and the reason for stopping, and errors.Is finds the last errno. Package explain says what
// was observed, what is likely, and what to check.
//
// The addresses of a name are raced (RFC 8305), and a lost DNS packet costs a third of a
// second. [NewTransport] ends HTTP dials with the requests that wanted them. [Attach] does so
// for the dials of other pools, [Do] retries any other way to connect, and [Reconnect] keeps a
// connection. At a [Gate], all goroutines that dial the same server share what they learn.
// Package dialtest is for tests of programs that dial; package redialslog logs with log/slog.
package redial
