package redialslog_test

import (
	"io"
	"log/slog"
	"os"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/redialslog"
)

// A program that logs with slog gets a record of each attempt.
func Example() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))
	d := &redial.Dialer{
		Logger: redialslog.New(logger.Handler()),
	}
	d.DialFunc = dialtest.Script(dialtest.Fail(io.ErrUnexpectedEOF), dialtest.OK).DialContext // a tunnel that breaks once
	conn, err := d.Dial("tcp", "db.example:5432")
	if err != nil {
		logger.Error("no database", "err", err)
		return
	}
	defer conn.Close()
	// Output:
	// level=WARN msg="dial attempt failed, will retry" network=tcp address=db.example:5432 attempt=1 class=reset error="unexpected EOF"
	// level=INFO msg="dial recovered" network=tcp address=db.example:5432 attempt=2 remote=192.0.2.1:5432
}

// withoutTimes leaves out what differs between two runs.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Value.Kind() == slog.KindDuration {
		return slog.Attr{}
	}
	return a
}
