package testutil

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
)

// A HostileError is an error that breaks what asks it without care.
type HostileError struct {
	Name     string
	Err      error
	TooLarge bool // a bounded visit ends within it, and does not reach what stands behind
}

// HostileErrors returns errors that hold nil pointers, lack parts, wrap themselves, or panic in their
// methods. Nothing that looks at an error may panic or hang on any of them. Their texts are not to be
// printed by %+v or %#v, because package fmt then follows their fields.
func HostileErrors() []HostileError {
	var nilOp *net.OpError
	return []HostileError{
		{Name: "nil pointer", Err: nilOp},
		{Name: "nil pointer of another type", Err: (*Panics)(nil)},
		{Name: "nil pointer within", Err: fmt.Errorf("client: %w", nilOp)},
		{Name: "nil pointer in an OpError", Err: &net.OpError{Op: "dial", Net: "tcp", Err: (*os.SyscallError)(nil)}},
		{Name: "nil pointers as addresses", Err: &net.OpError{Op: "dial", Source: (*panicAddr)(nil), Addr: (*panicAddr)(nil), Err: errors.New("x")}},
		{Name: "addresses that panic", Err: &net.OpError{Op: "dial", Source: &panicAddr{}, Addr: &panicAddr{}, Err: errors.New("x")}},
		{Name: "OpError without an error", Err: &net.OpError{Op: "dial"}},
		{Name: "SyscallError without an error", Err: &os.SyscallError{Syscall: "connect"}},
		{Name: "PathError without an error", Err: &os.PathError{Op: "connect"}},
		{Name: "incomplete struct", Err: struct{ *net.OpError }{}},
		{Name: "pointer to an incomplete struct", Err: &struct{ *net.OpError }{}},
		{Name: "struct without its error", Err: struct{ error }{}},
		{Name: "joined nil pointers", Err: errors.Join(nilOp, (*Panics)(nil))},
		{Name: "wraps itself", Err: wrapsItself{}},
		{Name: "wraps itself by a pointer", Err: &wrapsItself{}},
		{Name: "wraps itself twice", Err: branchesIntoItself{}, TooLarge: true},
		{Name: "endless chain", Err: endless(0)},
		{Name: "a hundred thousand branches", Err: manyBranches{}, TooLarge: true},
		{Name: "panics", Err: Panics{"any value"}},
		{Name: "panics within", Err: fmt.Errorf("client: %w", &wrapper{Panics{"any value"}})},
		{Name: "panics with a value that panics", Err: Panics{Panics{"any value"}}},
		{Name: "panics in its branches", Err: panicsInBranches{}},
		{Name: "cannot be compared", Err: notComparable{errors.New("x")}},
	}
}

// Panics is an error and a connection's part whose methods all panic with Value.
type Panics struct{ Value any }

func (p Panics) Error() string        { panic(p.Value) }
func (p Panics) String() string       { panic(p.Value) }
func (p Panics) Unwrap() error        { panic(p.Value) }
func (p Panics) Is(error) bool        { panic(p.Value) }
func (p Panics) As(any) bool          { panic(p.Value) }
func (p Panics) Timeout() bool        { panic(p.Value) }
func (p Panics) Temporary() bool      { panic(p.Value) }
func (p Panics) Close() error         { panic(p.Value) }
func (p Panics) RemoteAddr() net.Addr { panic(p.Value) }

type panicsInBranches struct{}

func (panicsInBranches) Error() string   { return "panics in its branches" }
func (panicsInBranches) Unwrap() []error { panic("no branches") }

// A panicAddr is an address that panics; a nil one too.
type panicAddr struct{ network string }

func (a *panicAddr) Network() string { return a.network }
func (a *panicAddr) String() string  { panic("no address: " + a.network) }

type wrapper struct{ err error }

func (w *wrapper) Error() string { return "client" }
func (w *wrapper) Unwrap() error { return w.err }

type wrapsItself struct{}

func (wrapsItself) Error() string   { return "wraps itself" }
func (e wrapsItself) Unwrap() error { return e }

type branchesIntoItself struct{}

func (branchesIntoItself) Error() string     { return "wraps itself twice" }
func (e branchesIntoItself) Unwrap() []error { return []error{e, e} }

// An endless error wraps another one each time.
type endless int

func (endless) Error() string   { return "endless" }
func (e endless) Unwrap() error { return e + 1 }

type manyBranches struct{}

var hundredThousand = slices.Repeat([]error{errors.New("one of many")}, 100_000)

func (manyBranches) Error() string   { return "a hundred thousand branches" }
func (manyBranches) Unwrap() []error { return hundredThousand }

type notComparable []error

func (notComparable) Error() string     { return "cannot be compared" }
func (e notComparable) Unwrap() []error { return e }
