// Package redial is a drop-in net.Dialer that says why a dial failed, retries what is worth
// retrying, and logs every attempt with zap:
//
//	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: logger}
//	conn, err := d.DialContext(ctx, "tcp", "db:5432")
//	client := &http.Client{Transport: redial.NewTransport(d, nil)}
//
// A dial makes attempts until one connects. Each failure has a [Class], such as refused or timeout.
// The [Policy] has a backoff schedule for each class that is retried; the other classes end the dial.
// A dial also ends with its context, and after 30 s by default. Its [Error] has the last errno, the
// class and the reason for stopping. Package explain says what to check.
//
// [NewTransport] is for HTTP, [Attach] for pools, and [Do] for more than a dial, such as a login.
// [Reconnect] keeps a connection. A [Gate] is for many dials to one server. Package dialtest is for
// tests, and redialslog for log/slog.
//
// # Nested dials
//
// DialFunc, Verify and Do's function get the context of an attempt. While the attempt runs, a dial
// with this context, or with one derived from it, is nested. It makes one attempt, because the outer
// dial retries. It uses no Gate, logs at level Debug, and returns the inner dialer's own error. Its
// hooks are called, with Nested true.
package redial
