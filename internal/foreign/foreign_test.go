package foreign_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// The value of an error that no other error has.
var errNeedle = errors.New("needle")

// methods is what the functions look for in an error.
type methods interface {
	error
	Timeout() bool
}

// askAll calls each function that takes an error.
func askAll(err error) {
	foreign.As[*net.OpError](err)
	foreign.As[methods](err)
	foreign.Is(err, errNeedle)
	foreign.Is(err, err)
	foreign.Is(errNeedle, err)
	foreign.Text(err)
	foreign.Timeout(err)
	foreign.Temporary(err)
	foreign.Unwrap(err)
	foreign.IsNil(err)
}

func TestHostileErrorsNeitherPanicNorHang(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			for _, err := range []error{hostile.Err, struct{ error }{hostile.Err}, &net.OpError{Err: hostile.Err}, errors.Join(hostile.Err, hostile.Err)} {
				assert.NotPanics(t, func() { askAll(err) })
				assert.False(t, foreign.Is(err, errNeedle))
			}
		})
	}
}

// What stands beside a hostile error is found, unless that error uses up the bound of a visit.
func TestErrorBesideHostileOneIsFound(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			assert.True(t, foreign.Is(errors.Join(errNeedle, hostile.Err), errNeedle))
			assert.Equal(t, !hostile.TooLarge, foreign.Is(errors.Join(hostile.Err, errNeedle), errNeedle))
		})
	}
}

func TestVisitEndsAtItsBounds(t *testing.T) {
	deep := func(n int) error {
		err := errNeedle
		for range n {
			err = fmt.Errorf("%w", err)
		}
		return err
	}
	wide := func(n int) error {
		return errors.Join(append(slices.Repeat([]error{io.EOF}, n-1), errNeedle)...)
	}
	assert.True(t, foreign.Is(deep(foreign.MaxDepth-1), errNeedle))
	assert.False(t, foreign.Is(deep(foreign.MaxDepth), errNeedle))
	assert.True(t, foreign.Is(wide(foreign.MaxNodes-1), errNeedle))
	assert.False(t, foreign.Is(wide(foreign.MaxNodes), errNeedle))
	assert.False(t, foreign.Is(fmt.Errorf("%w", errors.Join(deep(foreign.MaxDepth-2))), errNeedle), "a branch is a level")
}

func TestAsPassesOverNilPointers(t *testing.T) {
	second := &net.OpError{Op: "read"}
	found, ok := foreign.As[*net.OpError](errors.Join((*net.OpError)(nil), second))
	assert.True(t, ok)
	assert.Same(t, second, found)

	found, ok = foreign.As[*net.OpError](errors.Join(turnsInto{nil}, turnsInto{second}))
	assert.True(t, ok)
	assert.Same(t, second, found)

	found, ok = foreign.As[*net.OpError](turnsInto{nil})
	assert.False(t, ok)
	assert.Nil(t, found)
}

// turnsInto becomes another error by its As method.
type turnsInto struct{ op *net.OpError }

func (turnsInto) Error() string { return "turns into another" }
func (e turnsInto) As(target any) bool {
	op, ok := target.(**net.OpError)
	if ok {
		*op = e.op
	}
	return ok
}

func TestIsOfNil(t *testing.T) {
	assert.True(t, foreign.Is(nil, nil))
	assert.False(t, foreign.Is(nil, errNeedle))
	assert.False(t, foreign.Is(errNeedle, nil))
	assert.False(t, foreign.Is(isAll{}, nil))
}

// isAll is an error that cannot be compared, and says that it is any other.
type isAll []error

func (isAll) Error() string { return "all of them" }
func (isAll) Is(error) bool { return true }

func TestIsAsksErrorsThatCannotBeCompared(t *testing.T) {
	assert.True(t, foreign.Is(isAll{}, isAll{}))
	assert.True(t, foreign.Is(isAll{}, errNeedle))
}

// says is an error with the methods of a net.Error.
type says struct{ timeout, temporary bool }

func (says) Error() string     { return "a client's own error" }
func (e says) Timeout() bool   { return e.timeout }
func (e says) Temporary() bool { return e.temporary }

func TestFirstErrorWithTheMethodDecides(t *testing.T) {
	yes, no := says{true, true}, says{}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"no method", errNeedle, false},
		{"yes", yes, true},
		{"no", no, false},
		{"yes within", fmt.Errorf("%w", yes), true},
		{"yes before no", errors.Join(errNeedle, yes, no), true},
		{"no before yes", errors.Join(errNeedle, no, yes), false},
		{"an outer no", &net.OpError{Err: fmt.Errorf("%w", yes)}, false}, // it asks the error that it holds itself
		{"after a panic", errors.Join(testutil.Panics{}, yes), true},
		{"after a nil pointer", errors.Join((*net.OpError)(nil), yes), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, foreign.Timeout(test.err))
			assert.Equal(t, test.want, foreign.Temporary(test.err))
		})
	}
	assert.True(t, foreign.Timeout(says{timeout: true}))
	assert.False(t, foreign.Temporary(says{timeout: true}))
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, "<nil>"},
		{io.EOF, "EOF"},
		{(*net.OpError)(nil), "<nil>"},
		{(*testutil.Panics)(nil), "<nil>"},
		{testutil.Panics{Value: "why"}, "%!v(PANIC=Error method: why)"},
		{testutil.Panics{Value: testutil.Panics{Value: "why"}}, "testutil.Panics"},
	} {
		assert.Equal(t, test.want, foreign.Text(test.err))
	}
}

func TestString(t *testing.T) {
	assert.Equal(t, "127.0.0.1:80", foreign.String(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
	assert.Empty(t, foreign.String(nil))
	assert.Empty(t, foreign.String((*net.TCPAddr)(nil)))
	assert.Empty(t, foreign.String(testutil.Panics{}))
}

func TestUnwrapReturnsOneLevel(t *testing.T) {
	inner := fmt.Errorf("%w", errNeedle)
	one, several := foreign.Unwrap(fmt.Errorf("%w", inner))
	assert.Same(t, inner, one)
	assert.Nil(t, several)

	one, several = foreign.Unwrap(errors.Join(inner, io.EOF))
	assert.NoError(t, one)
	assert.Equal(t, []error{inner, io.EOF}, several)

	for _, err := range []error{nil, errNeedle, testutil.Panics{}, (*net.OpError)(nil), struct{ *net.OpError }{}} {
		one, several = foreign.Unwrap(err)
		assert.NoError(t, one)
		assert.Nil(t, several)
	}
}

func TestIsNil(t *testing.T) {
	for _, v := range []any{nil, (*net.OpError)(nil), (*net.TCPConn)(nil), (*int)(nil)} {
		assert.True(t, foreign.IsNil(v), "%T", v)
	}
	for _, v := range []any{errNeedle, 0, "", struct{ *net.OpError }{}, &net.OpError{}, []error(nil)} {
		assert.False(t, foreign.IsNil(v), "%T", v)
	}
}

// conn is a connection with the remote address addr, which notes when it is closed.
type conn struct {
	net.Conn
	addr   net.Addr
	closed bool
}

func (c *conn) RemoteAddr() net.Addr { return c.addr }
func (c *conn) Close() error         { c.closed = true; return io.EOF }

func TestRemoteAddr(t *testing.T) {
	addr := &net.TCPAddr{Port: 80}
	assert.Equal(t, addr, foreign.RemoteAddr(&conn{addr: addr}))
	for _, c := range []net.Conn{nil, (*net.TCPConn)(nil), (*conn)(nil), struct{ net.Conn }{}, &conn{}, &conn{addr: (*net.TCPAddr)(nil)}} {
		assert.True(t, foreign.RemoteAddr(c) == nil, "%T", c)
	}
}

func TestClose(t *testing.T) {
	c := &conn{}
	foreign.Close(c)
	assert.True(t, c.closed)
	for _, c := range []io.Closer{nil, (*net.TCPConn)(nil), (*conn)(nil), struct{ io.Closer }{}, testutil.Panics{}} {
		assert.NotPanics(t, func() { foreign.Close(c) }, "%T", c)
	}
}

func TestTryReportsPanics(t *testing.T) {
	assert.True(t, foreign.Try(func() {}))
	assert.False(t, foreign.Try(func() { panic("no") }))
}

// The errors of package net are asked in each attempt, so asking them allocates nothing.
func TestPlainErrorsCostNoAllocation(t *testing.T) {
	var err error = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ENOENT)}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		foreign.As[*os.SyscallError](err)
		foreign.Is(err, context.Canceled)
		foreign.Timeout(err)
		foreign.Unwrap(err)
		foreign.IsNil(err)
	}))
}

// FuzzTreesOfErrors builds trees of errors. Where a tree has nothing hostile in it, the answers are those
// of package errors. Nothing panics or hangs for any tree.
func FuzzTreesOfErrors(f *testing.F) {
	testutil.AddDecisions(f, 40, 2)
	f.Fuzz(func(t *testing.T, data []byte) {
		d := testutil.Decisions(data)
		err, hostile := tree(&d)
		askAll(err)
		if hostile {
			return
		}
		for _, target := range []error{errNeedle, io.EOF, fs.ErrNotExist, context.DeadlineExceeded, says{true, false}} {
			require.Equal(t, errors.Is(err, target), foreign.Is(err, target))
		}
		assertSameAs[*net.OpError](t, err)
		assertSameAs[*os.SyscallError](t, err)
		assertSameAs[says](t, err)
		assertSameAs[methods](t, err)
		want, ok := errors.AsType[methods](err)
		require.Equal(t, ok && want.Timeout(), foreign.Timeout(err))
		if err != nil {
			require.Equal(t, err.Error(), foreign.Text(err))
		}
	})
}

func assertSameAs[E error](t *testing.T, err error) {
	want, wantOK := errors.AsType[E](err)
	got, ok := foreign.As[E](err)
	require.Equal(t, wantOK, ok)
	require.Equal(t, any(want), any(got))
}

// tree builds an error of at most 60 levels from decisions, and reports whether it has a hostile part.
func tree(d *testutil.Decisions) (err error, hostile bool) {
	all := testutil.HostileErrors()
	plain := []error{nil, errNeedle, io.EOF, syscall.ENOENT, context.DeadlineExceeded, says{true, false}, says{false, true}}
	for range d.Next() % 60 {
		leaf := plain[d.Next()%len(plain)]
		if d.Next()%32 == 31 {
			leaf, hostile = all[d.Next()%len(all)].Err, true
		}
		err = grow(d.Next(), err, leaf)
	}
	return err, hostile
}

// grow wraps err in the way that how says, or joins it with leaf.
func grow(how int, err, leaf error) error {
	if err == nil {
		return leaf
	}
	switch how % 7 {
	case 0:
		return errors.Join(err, leaf)
	case 1:
		return errors.Join(leaf, err)
	case 2:
		return &net.OpError{Op: "dial", Err: err}
	case 3:
		return os.NewSyscallError("connect", err)
	case 4:
		return &url.Error{Op: "Get", Err: err}
	case 5:
		return struct{ error }{err} // hides what err wraps
	}
	return &wrapping{err}
}

// wrapping wraps an error without asking it for a text, as fmt.Errorf does.
type wrapping struct{ err error }

func (*wrapping) Error() string   { return "wrapping" }
func (w *wrapping) Unwrap() error { return w.err }

// Holds knows an error by itself, and not by what it says of itself.
func TestHolds(t *testing.T) {
	target, twin := errors.New("x"), errors.New("x")
	assert.True(t, foreign.Holds(target, target))
	assert.True(t, foreign.Holds(fmt.Errorf("a: %w", errors.Join(twin, target)), target))
	assert.False(t, foreign.Holds(twin, target))
	assert.False(t, foreign.Holds(nil, target))
	assert.False(t, foreign.Holds(target, nil))
	assert.False(t, foreign.Holds(matchesAll{}, target))
	for _, hostile := range testutil.HostileErrors() {
		assert.False(t, foreign.Holds(hostile.Err, target), hostile.Name)
		assert.NotPanics(t, func() { foreign.Holds(hostile.Err, hostile.Err) }, hostile.Name)
	}
}

type matchesAll struct{}

func (matchesAll) Error() string { return "matches all" }
func (matchesAll) Is(error) bool { return true }
