package redialslog_test

// Helpers for all tests of the package: a handler that keeps its records, and zap's and slog's
// records in one form.

import (
	"bytes"
	"context"
	"log/slog"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial/redialslog"
)

// kept is a slog.Handler that keeps its records. Its level is the least that is enabled.
type kept struct {
	level   slog.Level
	attrs   []slog.Attr // of WithAttrs
	records *records
}

type records struct {
	sync.Mutex
	all   []slog.Record // with the attributes of WithAttrs
	calls int           // of WithAttrs
}

func keep(level slog.Level) *kept { return &kept{level: level, records: new(records)} }

func (h *kept) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *kept) Handle(_ context.Context, r slog.Record) error {
	whole := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	whole.AddAttrs(h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		whole.AddAttrs(a)
		return true
	})
	h.records.Lock()
	defer h.records.Unlock()
	h.records.all = append(h.records.all, whole)
	return nil
}

func (h *kept) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.records.Lock()
	defer h.records.Unlock()
	h.records.calls++
	return &kept{h.level, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...), h.records}
}

func (h *kept) WithGroup(string) slog.Handler { panic("a core opens groups itself") }

// takeAll returns the records so far, and forgets them.
func (h *kept) takeAll() []slog.Record {
	h.records.Lock()
	defer h.records.Unlock()
	all := h.records.all
	h.records.all = nil
	return all
}

// A line is a record of zap or of slog. Its fields have the types that slog's attributes
// have: all integers are int64 or uint64. An object or a group is a map. An error is its text.
type line struct {
	level  slog.Level
	msg    string
	fields map[string]any
}

// takeBoth returns what zap's observer and h have seen since its last call.
func takeBoth(logs *observer.ObservedLogs, h *kept) (byZap, bySlog []line) {
	for _, entry := range logs.TakeAll() {
		fields := inSlogsTypes(entry.ContextMap()).(map[string]any)
		if entry.LoggerName != "" {
			fields["logger"] = entry.LoggerName
		}
		if entry.Stack != "" {
			fields["stacktrace"] = entry.Stack
		}
		byZap = append(byZap, line{slog.Level(4 * int(entry.Level)), entry.Message, fields})
	}
	return byZap, h.takeLines()
}

func (h *kept) takeLines() (all []line) {
	for _, r := range h.takeAll() {
		all = append(all, line{r.Level, r.Message, fieldsOf(attrsOf(r))})
	}
	return all
}

// inSlogsTypes converts the values in a map of zap's observer to slog's types. It leaves
// slices as they are.
func inSlogsTypes(v any) any {
	fields, ok := v.(map[string]any)
	if !ok {
		return slog.AnyValue(v).Any()
	}
	converted := map[string]any{}
	for key, v := range fields {
		converted[key] = inSlogsTypes(v)
	}
	return converted
}

func attrsOf(r slog.Record) (all []slog.Attr) {
	r.Attrs(func(a slog.Attr) bool {
		all = append(all, a)
		return true
	})
	return all
}

func fieldsOf(attrs []slog.Attr) map[string]any {
	fields := map[string]any{}
	for _, a := range attrs {
		fields[a.Key] = a.Value.Any()
		if a.Value.Kind() == slog.KindGroup {
			fields[a.Key] = fieldsOf(a.Value.Group())
		} else if err, ok := a.Value.Any().(error); ok {
			fields[a.Key] = err.Error()
		}
	}
	return fields
}

// both returns a logger whose records zap's observer and a slog.Handler see.
func both(options ...zap.Option) (*zap.Logger, *observer.ObservedLogs, *kept) {
	h := keep(-100)
	byZap, logs := observer.New(zapcore.DebugLevel)
	return zap.New(zapcore.NewTee(byZap, redialslog.New(h).Core()), options...), logs, h
}

// inJSON and inText return a logger and what it writes, without the time of each record.
func inJSON() (*zap.Logger, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return redialslog.New(slog.NewJSONHandler(out, withoutTime)), out
}

func inText() (*zap.Logger, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return redialslog.New(slog.NewTextHandler(out, withoutTime)), out
}

var withoutTime = &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}
