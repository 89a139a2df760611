package redialslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/redialslog"
)

func TestLevelsKeepTheirOrder(t *testing.T) {
	h := keep(-100)
	core := redialslog.New(h).Core()
	for level := zapcore.Level(-3); level <= zapcore.InvalidLevel; level++ {
		require.NoError(t, core.Write(zapcore.Entry{Level: level}, nil))
	}
	var got []slog.Level
	for _, r := range h.takeAll() {
		got = append(got, r.Level)
	}
	assert.Equal(t, []slog.Level{-12, -8, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, 12, 16, 20, 24}, got)
}

func TestHandlerDecidesWhatIsEnabled(t *testing.T) {
	h := keep(slog.LevelWarn)
	logger := redialslog.New(h)
	assert.Equal(t, zap.WarnLevel, zapcore.LevelOf(logger.Core()))
	for _, level := range []zapcore.Level{zap.DebugLevel, zap.InfoLevel, zap.WarnLevel, zap.ErrorLevel} {
		logger.Log(level, level.String())
		logger.With(zap.Int("n", 1)).Log(level, level.String())
	}
	assert.Equal(t, []line{
		{slog.LevelWarn, "warn", map[string]any{}},
		{slog.LevelWarn, "warn", map[string]any{"n": int64(1)}},
		{slog.LevelError, "error", map[string]any{}},
		{slog.LevelError, "error", map[string]any{"n": int64(1)}},
	}, h.takeLines())
}

// A level that is enabled elsewhere in a tee is not enabled here.
func TestHandlerDecidesInATee(t *testing.T) {
	h := keep(slog.LevelWarn)
	logger := zap.New(zapcore.NewTee(redialslog.New(keep(slog.LevelDebug)).Core(), redialslog.New(h).Core()))
	logger.Info("a")
	assert.Empty(t, h.takeAll())
}

func TestDisabledLevelAllocatesNothing(t *testing.T) {
	for name, handler := range map[string]slog.Handler{
		"kept":    keep(slog.LevelError),
		"json":    slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}),
		"discard": slog.DiscardHandler,
	} {
		logger := redialslog.New(handler)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if entry := logger.Check(zap.WarnLevel, "dial failed"); entry != nil {
				entry.Write(zap.Int("attempt", 1))
			}
			logger.Warn("dial failed")
		}), name)
	}
}

// One thing at a time is logged to zap's observer and to a slog.Handler.
func TestSameAsZap(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func(*zap.Logger)
	}{
		{"levels", func(l *zap.Logger) { l.Debug("a"); l.Info("b"); l.Warn("c"); l.Error("d"); l.DPanic("e") }},
		{"panic", func(l *zap.Logger) { assert.Panics(t, func() { l.Panic("a") }) }},
		{"fatal", func(l *zap.Logger) {
			assert.Panics(t, func() { l.WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic)).Fatal("a") })
		}},
		{"every field", func(l *zap.Logger) { l.Info("a", everyField()...) }},
		{"with every field", func(l *zap.Logger) { l.With(everyField()...).Info("a", zap.Int("more", 1)) }},
		{"name", func(l *zap.Logger) { l.Named("a").Named("b").Info("c", zap.Int("d", 1)) }},
		{"stack", func(l *zap.Logger) { l.WithOptions(zap.AddStacktrace(zap.InfoLevel)).Info("a", zap.Int("b", 1)) }},
		{"namespace", func(l *zap.Logger) {
			l.Info("a", zap.Int("b", 1), zap.Namespace("c"), zap.Int("d", 1), zap.Namespace("e"), zap.Int("f", 1))
		}},
		{"namespace opened by With", func(l *zap.Logger) {
			l = l.With(zap.Int("a", 1), zap.Namespace("b"), zap.Int("c", 1))
			l.Info("one", zap.Int("d", 1))
			l.With(zap.Int("e", 1), zap.Namespace("f")).Info("two", zap.Int("g", 1))
			l.With(zap.Int("h", 1)).Info("three", zap.Namespace("i"), zap.Int("j", 1))
		}},
		{"name and stack stay outside of a namespace", func(l *zap.Logger) {
			l.With(zap.Namespace("a")).Named("b").WithOptions(zap.AddStacktrace(zap.InfoLevel)).Info("c", zap.Int("d", 1))
		}},
		{"namespace within an object", func(l *zap.Logger) {
			l.Info("a", zap.Dict("b", zap.Int("c", 1), zap.Namespace("d"), zap.Int("e", 1)), zap.Int("f", 1))
		}},
		{"siblings do not share fields", func(l *zap.Logger) {
			l = l.With(zap.Namespace("a"), zap.Int("b", 1), zap.Int("c", 1), zap.Int("d", 1)) // leaves room in the slice
			one, two := l.With(zap.Int("one", 1)), l.With(zap.Int("two", 2))
			one.Info("one")
			two.Info("two", zap.Int("three", 3))
			l.Info("neither")
		}},
		{"records do not share groups", func(l *zap.Logger) {
			l = l.With(zap.Namespace("a"), zap.Int("b", 1), zap.Int("c", 1), zap.Int("d", 1), zap.Namespace("e"))
			l.Info("one", zap.Int("one", 1))
			l.Info("two", zap.Int("two", 2))
		}},
		{"lazy", func(l *zap.Logger) { l.WithLazy(zap.Int("a", 1)).Info("b") }},
		{"sugar", func(l *zap.Logger) { l.Sugar().With("a", 1).Infow("b", "c", time.Second) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			logger, logs, h := both()
			test.log(logger)
			byZap, bySlog := takeBoth(logs, h)
			assert.NotEmpty(t, byZap)
			assert.Equal(t, byZap, bySlog)
		})
	}
}

func TestTimeIsTheEntrys(t *testing.T) {
	logger, logs, h := both()
	logger.Info("a")
	assert.Equal(t, logs.All()[0].Time.UnixNano(), h.takeAll()[0].Time.UnixNano())
}

func TestWithIsPassedToTheHandlerOnce(t *testing.T) {
	h := keep(slog.LevelInfo)
	logger := redialslog.New(h).With(zap.Int("a", 1), zap.Int("b", 2))
	for range 3 {
		logger.Info("c", zap.Int("d", 3))
	}
	logger.With(zap.Skip()).Info("c", zap.Int("d", 3))
	assert.Equal(t, 1, h.records.calls)
	for _, r := range h.takeAll() {
		assert.Equal(t, []slog.Attr{slog.Int("a", 1), slog.Int("b", 2), slog.Int("d", 3)}, attrsOf(r))
	}
}

func TestSourceIsTheCallerOfTheLogger(t *testing.T) {
	h := keep(slog.LevelInfo)
	logger := redialslog.New(h)
	logger.Info("no caller")
	_, file, before, _ := runtime.Caller(0)
	logger.WithOptions(zap.AddCaller()).Info("caller")
	func() { logger.WithOptions(zap.AddCaller(), zap.AddCallerSkip(1)).Info("caller's caller") }()
	all := h.takeAll()
	assert.Nil(t, all[0].Source())
	for i, r := range all[1:] {
		source := r.Source()
		require.NotNil(t, source, r.Message)
		assert.Equal(t, file, source.File, r.Message)
		assert.Equal(t, before+1+i, source.Line, r.Message)
		assert.Contains(t, source.Function, "TestSourceIsTheCallerOfTheLogger", r.Message)
	}
}

// A failing handler fails every record.
type failing struct{ slog.Handler }

var errDiskFull = errors.New("disk full")

func (failing) Handle(context.Context, slog.Record) error { return errDiskFull }

func TestErrorOfTheHandler(t *testing.T) {
	var output bytes.Buffer
	logger := redialslog.New(failing{keep(slog.LevelInfo)}).WithOptions(zap.ErrorOutput(zapcore.AddSync(&output)))
	assert.Equal(t, errDiskFull, logger.Core().Write(zapcore.Entry{}, nil))
	logger.Info("a")
	assert.Contains(t, output.String(), "disk full")
	assert.NoError(t, logger.Sync())
}

// TestSlogtest runs slog's own tests of a handler on slog.JSONHandler, with a core in between.
// It shows that namespaces and With are WithGroup and WithAttrs.
func TestSlogtest(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return throughZap{redialslog.New(slog.NewJSONHandler(&out, nil)).Core()}
	}, func(t *testing.T) map[string]any {
		got := map[string]any{}
		require.NoError(t, json.Unmarshal(out.Bytes(), &got))
		return got
	})
}

// throughZap is a slog.Handler that writes to a zapcore.Core.
type throughZap struct{ zapcore.Core }

func (h throughZap) Enabled(_ context.Context, level slog.Level) bool {
	return h.Core.Enabled(zapcore.Level(level / 4))
}

func (h throughZap) Handle(_ context.Context, r slog.Record) error {
	entry := zapcore.Entry{Time: r.Time, Level: zapcore.Level(r.Level / 4), Message: r.Message}
	return h.Write(entry, inZapsTypes(attrsOf(r)))
}

func (h throughZap) WithAttrs(attrs []slog.Attr) slog.Handler {
	return throughZap{h.With(inZapsTypes(attrs))}
}

func (h throughZap) WithGroup(name string) slog.Handler {
	return throughZap{h.With([]zapcore.Field{zap.Namespace(name)})}
}

func inZapsTypes(attrs []slog.Attr) (fields []zapcore.Field) {
	for _, a := range attrs {
		switch {
		case a.Value.Kind() == slog.KindGroup:
			fields = append(fields, zap.Dict(a.Key, inZapsTypes(a.Value.Group())...))
		case a.Value.Kind() == slog.KindLogValuer:
			fields = append(fields, zap.Reflect(a.Key, a.Value.LogValuer()))
		default:
			fields = append(fields, zap.Any(a.Key, a.Value.Any()))
		}
	}
	return fields
}
