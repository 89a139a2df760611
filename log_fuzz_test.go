package redial_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// FuzzEncoders logs records with whatever in their fields, by zap's and by slog's JSON encoder. Both
// must write the same, which is valid JSON.
func FuzzEncoders(f *testing.F) {
	f.Add([]byte{}, "x")
	f.Add(testutil.RandomBytes(1, 100), "<a href=\"\\\">\u2028\x00\xff\xc3&'\xed\xa0\x80")
	for seed := range 100 {
		f.Add(testutil.RandomBytes(seed, 10+seed), "a.test:80\xff")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) > 400 || len(text) > 200 {
			return
		}
		d := testutil.Decisions(data)
		a := fuzzedAttempt(&d, text)
		assertSameJSON(t, a)
		for _, r := range a.Addrs {
			assertSameJSON(t, r)
		}
		e := &redial.Error{
			Network: text, Address: a.Address, Attempts: a.Number, Elapsed: a.Elapsed, Class: a.Class, Err: a.Err, Stop: a.Stop,
			History: []redial.Attempt{a, fuzzedAttempt(&d, text)}[:d.Next()%3],
		}
		got := assertSameJSON(t, e)
		assert.Equal(t, e.Class.String(), got["class"])
		assert.Equal(t, asUTF8(textOf(e.Err)), got["error"])
		if e.Stop != nil {
			assert.Equal(t, asUTF8(textOf(e.Stop)), got["stop"])
		}
		history, _ := got["history"].([]any)
		assert.Len(t, history, len(e.History))
		if !walks(e) {
			return
		}
		if s := systemErrorIn(e.Err); s != nil {
			assert.Equal(t, asUTF8(textOf(s.Err)), got["errno"])
		}
	})
}

// asUTF8 replaces bytes that are not UTF-8 as JSON encoders do.
func asUTF8(s string) string { return string([]rune(s)) }

// assertSameJSON checks that zap and slog write v as the same JSON, and returns its fields.
func assertSameJSON(t *testing.T, v zapcore.ObjectMarshaler) map[string]any {
	t.Helper()
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{EncodeDuration: zapcore.NanosDurationEncoder})
	line, err := encoder.EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("v", v)})
	require.NoError(t, err)
	byZap := decoded(t, line.Bytes())

	var out bytes.Buffer
	record := slog.NewRecord(time.Time{}, slog.LevelInfo, "", 0)
	record.AddAttrs(slog.Any("v", v))
	require.NoError(t, slog.NewJSONHandler(&out, nil).Handle(t.Context(), record))
	require.Equal(t, byZap["v"], decoded(t, out.Bytes())["v"], "zap: %s slog: %s", line, out.Bytes())

	fields, ok := byZap["v"].(map[string]any)
	require.True(t, ok, "%s", line)
	return fields
}

func decoded(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	assert.True(t, utf8.Valid(text), "%q", text)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a float64 would round long durations
	require.NoError(t, decoder.Decode(&v), "%s", text)
	return v
}

// systemErrorIn returns the first system call's error in err, or nil, also if package errors panics.
func systemErrorIn(err error) (s *os.SyscallError) {
	defer func() { _ = recover() }()
	s, _ = errors.AsType[*os.SyscallError](err)
	return s
}
