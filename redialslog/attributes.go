package redialslog

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// attributes collects zap's fields as slog's attributes. It is the zapcore.ObjectEncoder
// to which a field adds itself. The first namespace has no key: its attributes are
// outside of all namespaces. Each other namespace is within the one before it.
type attributes []namespace

type namespace struct {
	key   string
	attrs []slog.Attr
}

// with returns a with the fields added. It does not change a.
func (a attributes) with(fields []zapcore.Field) attributes {
	all := slices.Clone(a)
	last := &all[len(all)-1]
	last.attrs = slices.Clip(last.attrs) // appending to it copies it
	for _, field := range fields {
		all.addField(field)
	}
	return all
}

// addField adds a field as zap does. An error is added as a value, because a handler may
// make more of it than its text.
func (a *attributes) addField(field zapcore.Field) {
	into, at := len(*a)-1, len((*a)[len(*a)-1].attrs)
	field.AddTo(a)
	if field.Type != zapcore.ErrorType {
		return
	}
	// zap adds the text first. If the error panics, zap adds "<nil>" for a nil pointer, and
	// otherwise another key. Such an error is not for a handler.
	text := &(*a)[into].attrs[at]
	if text.Key == field.Key && text.Value.String() != "<nil>" {
		text.Value = slog.AnyValue(field.Interface)
	}
}

// nested returns the attributes outside of all namespaces. The last is the group of the
// next namespace, if there is one.
func (a attributes) nested() []slog.Attr {
	if len(a) == 1 {
		return a[0].attrs
	}
	group := slog.Attr{Key: a[1].key, Value: slog.GroupValue(a[1:].nested()...)}
	return append(slices.Clip(a[0].attrs), group)
}

func (a *attributes) add(key string, value slog.Value) {
	last := &(*a)[len(*a)-1]
	last.attrs = append(last.attrs, slog.Attr{Key: key, Value: value})
}

func (a *attributes) OpenNamespace(key string) { *a = append(*a, namespace{key: key}) }

func (a *attributes) AddObject(key string, object zapcore.ObjectMarshaler) error {
	group := make(attributes, 1)
	err := object.MarshalLogObject(&group)
	a.add(key, slog.GroupValue(group.nested()...))
	return err
}

// AddArray adds a slice. Its elements have the types that zap's own observer shows, and
// look like attributes of these types in JSON and in text.
func (a *attributes) AddArray(key string, array zapcore.ArrayMarshaler) error {
	m := zapcore.NewMapObjectEncoder()
	err := m.AddArray(key, array)
	a.add(key, slog.AnyValue(m.Fields[key]))
	return err
}

func (a *attributes) AddReflected(key string, value any) error {
	a.add(key, slog.AnyValue(value))
	return nil
}

// addComplex adds a complex number as zap's JSON encoder writes it: 1+2i.
func (a *attributes) addComplex(key string, value complex128, bits int) {
	a.AddString(key, strings.Trim(strconv.FormatComplex(value, 'f', -1, bits), "()"))
}

func (a *attributes) AddBinary(key string, v []byte)          { a.add(key, slog.AnyValue(v)) }
func (a *attributes) AddByteString(key string, v []byte)      { a.AddString(key, string(v)) }
func (a *attributes) AddBool(key string, v bool)              { a.add(key, slog.BoolValue(v)) }
func (a *attributes) AddComplex128(key string, v complex128)  { a.addComplex(key, v, 128) }
func (a *attributes) AddComplex64(key string, v complex64)    { a.addComplex(key, complex128(v), 64) }
func (a *attributes) AddDuration(key string, v time.Duration) { a.add(key, slog.DurationValue(v)) }
func (a *attributes) AddFloat64(key string, v float64)        { a.add(key, slog.Float64Value(v)) }
func (a *attributes) AddFloat32(key string, v float32)        { a.AddFloat64(key, float64(v)) }
func (a *attributes) AddInt64(key string, v int64)            { a.add(key, slog.Int64Value(v)) }
func (a *attributes) AddInt(key string, v int)                { a.AddInt64(key, int64(v)) }
func (a *attributes) AddInt32(key string, v int32)            { a.AddInt64(key, int64(v)) }
func (a *attributes) AddInt16(key string, v int16)            { a.AddInt64(key, int64(v)) }
func (a *attributes) AddInt8(key string, v int8)              { a.AddInt64(key, int64(v)) }
func (a *attributes) AddString(key, v string)                 { a.add(key, slog.StringValue(v)) }
func (a *attributes) AddTime(key string, v time.Time)         { a.add(key, slog.TimeValue(v)) }
func (a *attributes) AddUint64(key string, v uint64)          { a.add(key, slog.Uint64Value(v)) }
func (a *attributes) AddUint(key string, v uint)              { a.AddUint64(key, uint64(v)) }
func (a *attributes) AddUint32(key string, v uint32)          { a.AddUint64(key, uint64(v)) }
func (a *attributes) AddUint16(key string, v uint16)          { a.AddUint64(key, uint64(v)) }
func (a *attributes) AddUint8(key string, v uint8)            { a.AddUint64(key, uint64(v)) }
func (a *attributes) AddUintptr(key string, v uintptr)        { a.AddUint64(key, uint64(v)) }
