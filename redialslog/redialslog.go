// Package redialslog makes a zap logger that writes to a slog.Handler. With it, a
// program that logs with slog gets the records of package redial:
//
//	d := &redial.Dialer{Logger: redialslog.New(slog.Default().Handler())}
//
// The handler gets what zap gets: each record with its time, level and message, and
// each field as an attribute of the same type. An object becomes a group. An array
// becomes a slice; an object in it becomes a map[string]any. A complex number becomes
// a string, because JSON has none. An error stays an error.
//
// zap's levels Debug, Info, Warn and Error become slog's. DPanic, Panic and Fatal
// become 12, 16 and 20, and end the program as they do with zap.
package redialslog

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a logger that writes to handler. The handler decides which levels are
// enabled. It gets context.Background, because zap has no contexts.
//
// The logger's name becomes the attribute "logger", and a stack trace becomes
// "stacktrace". With zap.AddCaller, the record has the caller's program counter, so
// that slog's AddSource shows the caller. An error of the handler goes to the logger's
// error output, which zap.ErrorOutput sets.
func New(handler slog.Handler) *zap.Logger {
	return zap.New(&core{handler: handler, open: make(attributes, 1)})
}

// A core passes zap's entries to a slog.Handler.
type core struct {
	handler slog.Handler // has the fields that With was given outside of namespaces

	// open has the namespaces that With has opened, with their fields. Each record
	// repeats them. WithGroup would save that, but it would also move the logger's
	// name and the stack trace, which zap does not put in a namespace, into the group.
	open attributes
}

// levelOf returns slog's level: zap's levels are 1 apart, slog's 4.
func levelOf(level zapcore.Level) slog.Level { return 4 * slog.Level(level) }

func (c *core) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), levelOf(level))
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	with := &core{handler: c.handler, open: c.open.with(fields)}
	if outside := with.open[0].attrs; len(outside) > 0 {
		with.handler = c.handler.WithAttrs(outside)
		with.open[0].attrs = nil
	}
	return with
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	pc := entry.Caller.PC
	if pc != 0 {
		pc++ // zap has the address of the call, slog wants the return address
	}
	record := slog.NewRecord(entry.Time, levelOf(entry.Level), entry.Message, pc)
	if entry.LoggerName != "" {
		record.AddAttrs(slog.String("logger", entry.LoggerName))
	}
	record.AddAttrs(c.open.with(fields).nested()...)
	if entry.Stack != "" {
		record.AddAttrs(slog.String("stacktrace", entry.Stack))
	}
	return c.handler.Handle(context.Background(), record)
}

func (c *core) Sync() error { return nil }
