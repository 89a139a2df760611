package redialslog_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/redialslog"
)

// A try is an object with a duration, like the results of a dial's addresses.
type try struct {
	addr string
	took time.Duration
	err  error
}

func (r try) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("addr", r.addr)
	enc.AddDuration("took", r.took)
	zap.Error(r.err).AddTo(enc)
	return nil
}

var (
	tries   = []try{{"192.0.2.1:80", time.Second, io.EOF}, {"192.0.2.2:80", 300 * time.Millisecond, nil}}
	date    = time.Date(2026, 11, 21, 18, 40, 38, 791, time.UTC)
	errGone = errors.New("gone")
)

// verbose is an error that has more to say with %+v.
type verbose struct{ error }

func (e verbose) Format(s fmt.State, verb rune) {
	io.WriteString(s, e.Error())
	if s.Flag('+') {
		io.WriteString(s, " at line 1")
	}
}

// several is an error of which zap also logs the parts.
type several []error

func (s several) Error() string   { return errors.Join(s...).Error() }
func (s several) Errors() []error { return s }

// panics is an error and a Stringer whose methods panic. So do those of a nil *nilPanics.
type panics struct{}

func (panics) Error() string  { panic("bad") }
func (panics) String() string { panic("bad") }

type nilPanics struct{ text string }

func (p *nilPanics) Error() string  { return p.text }
func (p *nilPanics) String() string { return p.text }

// failingObject is an object that fails after its first field.
type failingObject struct{}

func (failingObject) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("half", 1)
	return errGone
}

// everyField returns fields that zap's observer and slog show in the same types.
func everyField() []zap.Field {
	number := 7
	return []zap.Field{
		zap.String("string", "s"), zap.ByteString("bytestring", []byte("s")), zap.Binary("binary", []byte{0, 255}), zap.Bool("bool", true),
		zap.Int("int", -1), zap.Int8("int8", math.MinInt8), zap.Int16("int16", math.MinInt16), zap.Int32("int32", math.MinInt32),
		zap.Int64("int64", math.MinInt64), zap.Uint("uint", 1), zap.Uint8("uint8", math.MaxUint8), zap.Uint16("uint16", math.MaxUint16),
		zap.Uint32("uint32", math.MaxUint32), zap.Uint64("uint64", math.MaxUint64), zap.Uintptr("uintptr", 1),
		zap.Float64("float64", 0.1), zap.Float32("float32", 0.25), zap.Duration("duration", time.Second), zap.Time("time", date),
		zap.Time("old", time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC)), zap.Error(io.EOF), zap.NamedError("named", verbose{io.EOF}),
		zap.NamedError("many", several{io.EOF, verbose{errGone}}), zap.NamedError("nil error", (*nilPanics)(nil)),
		zap.NamedError("panicking error", panics{}), zap.Error(nil), zap.Errors("errors", []error{io.EOF, verbose{errGone}}),
		zap.Stringer("stringer", netip.MustParseAddr("192.0.2.1")), zap.Stringer("nil stringer", (*nilPanics)(nil)),
		zap.Stringer("panicking stringer", panics{}), zap.Object("object", tries[0]), zap.Objects("objects", tries),
		zap.Dict("dict", zap.Int("a", 1), zap.Dict("b", zap.Duration("c", time.Second))), zap.Inline(tries[0]),
		zap.Object("failing", failingObject{}), zap.Durations("durations", []time.Duration{time.Second}), zap.Strings("strings", []string{"a"}),
		zap.Ints("ints", []int{1}), zap.Reflect("reflect", map[string]int{"a": 1}), zap.Reflect("null", nil), zap.Any("any", &number),
		zap.Skip(),
	}
}

// Each field becomes attributes of the right type, in their order. TestSameAsZap compares the
// same fields with zap's.
func TestFieldsKeepTheirTypes(t *testing.T) {
	many := several{io.EOF, errGone}
	for _, test := range []struct {
		field zap.Field
		kinds []slog.Kind
		want  []any // key and value, for each attribute
	}{
		{zap.String("k", "s"), []slog.Kind{slog.KindString}, []any{"k", "s"}},
		{zap.Int8("k", -1), []slog.Kind{slog.KindInt64}, []any{"k", int64(-1)}},
		{zap.Uint8("k", 1), []slog.Kind{slog.KindUint64}, []any{"k", uint64(1)}},
		{zap.Uintptr("k", 1), []slog.Kind{slog.KindUint64}, []any{"k", uint64(1)}},
		{zap.Float64("k", 0.5), []slog.Kind{slog.KindFloat64}, []any{"k", 0.5}},
		{zap.Bool("k", true), []slog.Kind{slog.KindBool}, []any{"k", true}},
		{zap.Duration("k", time.Second), []slog.Kind{slog.KindDuration}, []any{"k", time.Second}},
		{zap.Time("k", date), []slog.Kind{slog.KindTime}, []any{"k", date}},
		{zap.Reflect("k", time.Second), []slog.Kind{slog.KindDuration}, []any{"k", time.Second}},
		{zap.Reflect("k", tries[1]), []slog.Kind{slog.KindAny}, []any{"k", tries[1]}},
		{zap.Binary("k", []byte{1}), []slog.Kind{slog.KindAny}, []any{"k", []byte{1}}},
		{zap.Complex128("k", 1.5-2i), []slog.Kind{slog.KindString}, []any{"k", "1.5-2i"}},
		{zap.Complex64("k", 0.1+2i), []slog.Kind{slog.KindString}, []any{"k", "0.1+2i"}},
		{zap.Error(io.EOF), []slog.Kind{slog.KindAny}, []any{"error", io.EOF}},
		{zap.Error(verbose{io.EOF}), []slog.Kind{slog.KindAny, slog.KindString}, []any{"error", verbose{io.EOF}, "errorVerbose", "EOF at line 1"}},
		{zap.Error(many), []slog.Kind{slog.KindAny, slog.KindAny}, []any{"error", many,
			"errorCauses", []any{map[string]any{"error": "EOF"}, map[string]any{"error": "gone"}}}},
		{zap.Error((*nilPanics)(nil)), []slog.Kind{slog.KindString}, []any{"error", "<nil>"}},
		{zap.Error(panics{}), []slog.Kind{slog.KindString}, []any{"errorError", "PANIC=bad"}},
		{zap.Stringer("k", panics{}), []slog.Kind{slog.KindString}, []any{"kError", "PANIC=bad"}},
		{zap.Durations("k", []time.Duration{1}), []slog.Kind{slog.KindAny}, []any{"k", []any{time.Duration(1)}}},
		{zap.Objects("k", tries), []slog.Kind{slog.KindAny}, []any{"k", []any{
			map[string]any{"addr": "192.0.2.1:80", "took": time.Second, "error": "EOF"},
			map[string]any{"addr": "192.0.2.2:80", "took": 300 * time.Millisecond}}}},
		{zap.Inline(tries[0]), []slog.Kind{slog.KindString, slog.KindDuration, slog.KindString}, []any{"addr", "192.0.2.1:80", "took", time.Second, "error", "EOF"}},
		{zap.Error(nil), nil, nil},
	} {
		h := keep(slog.LevelInfo)
		redialslog.New(h).Info("", test.field)
		var kinds []slog.Kind
		var got []any
		for _, a := range attrsOf(h.takeAll()[0]) {
			kinds = append(kinds, a.Value.Kind())
			got = append(got, a.Key, a.Value.Any())
		}
		assert.Equal(t, test.kinds, kinds, test.field)
		assert.Equal(t, test.want, got, test.field)
	}
}

// Each line is what slog's handlers write. Durations look the same within an array.
func TestFieldsAsWritten(t *testing.T) {
	for _, test := range []struct {
		fields     []zap.Field
		json, text string
	}{
		{[]zap.Field{zap.Duration("took", time.Second), zap.Durations("all", []time.Duration{time.Second})},
			`"took":1000000000,"all":[1000000000]`, `took=1s all=[1s]`},
		{[]zap.Field{zap.Object("one", tries[0]), zap.Objects("all", tries)},
			`"one":{"addr":"192.0.2.1:80","took":1000000000,"error":"EOF"},` +
				`"all":[{"addr":"192.0.2.1:80","error":"EOF","took":1000000000},{"addr":"192.0.2.2:80","took":300000000}]`,
			`one.addr=192.0.2.1:80 one.took=1s one.error=EOF ` +
				`all="[map[addr:192.0.2.1:80 error:EOF took:1s] map[addr:192.0.2.2:80 took:300ms]]"`},
		{[]zap.Field{zap.Time("at", date), zap.Times("all", []time.Time{date})},
			`"at":"2026-11-21T18:40:38.000000791Z","all":["2026-11-21T18:40:38.000000791Z"]`,
			`at=2026-11-21T18:40:38.000Z all="[2026-11-21 18:40:38.000000791 +0000 UTC]"`},
		{[]zap.Field{zap.Error(io.EOF), zap.Complex128("c", 1i)}, `"error":"EOF","c":"0+1i"`, `error=EOF c=0+1i`},
		{[]zap.Field{zap.Binary("b", []byte("hi")), zap.ByteString("s", []byte("hi"))}, `"b":"aGk=","s":"hi"`, `b="hi" s=hi`},
		{[]zap.Field{zap.Inline(tries[1])}, `"addr":"192.0.2.2:80","took":300000000`, `addr=192.0.2.2:80 took=300ms`},
		{[]zap.Field{zap.Int("a", 1), zap.Namespace("n"), zap.Int("b", 2), zap.Namespace("m"), zap.Int("c", 3)},
			`"a":1,"n":{"b":2,"m":{"c":3}}`, `a=1 n.b=2 n.m.c=3`},
		{[]zap.Field{zap.Reflect("null", nil), zap.Ints("ints", []int{1, 2}), zap.Strings("none", nil)},
			`"null":null,"ints":[1,2],"none":[]`, `null=<nil> ints="[1 2]" none=[]`},
		{[]zap.Field{zap.Object("o", failingObject{})}, `"o":{"half":1},"oError":"gone"`, `o.half=1 oError=gone`},
	} {
		logger, out := inJSON()
		logger.Info("m", test.fields...)
		assert.Equal(t, `{"level":"INFO","msg":"m",`+test.json+"}\n", out.String())

		logger, out = inText()
		logger.Info("m", test.fields...)
		assert.Equal(t, "level=INFO msg=m "+test.text+"\n", out.String())
	}
}
