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
	Name string
	Err  error
}

// HostileErrors returns errors that hold nil pointers, lack parts, wrap themselves, or panic in their
// methods. Nothing that looks at an error may panic or hang on any of them. Their texts are not to be
// printed by %+v or %#v, because package fmt then follows their fields.
func HostileErrors() []HostileError {
	var nilOp *net.OpError
	return []HostileError{
		{"nil pointer", nilOp},
		{"nil pointer of another type", (*Panics)(nil)},
		{"nil pointer within", fmt.Errorf("client: %w", nilOp)},
		{"nil pointer in an OpError", &net.OpError{Op: "dial", Net: "tcp", Err: (*os.SyscallError)(nil)}},
		{"nil pointers as addresses", &net.OpError{Op: "dial", Source: (*panicAddr)(nil), Addr: (*panicAddr)(nil), Err: errors.New("x")}},
		{"addresses that panic", &net.OpError{Op: "dial", Source: &panicAddr{}, Addr: &panicAddr{}, Err: errors.New("x")}},
		{"OpError without an error", &net.OpError{Op: "dial"}},
		{"SyscallError without an error", &os.SyscallError{Syscall: "connect"}},
		{"PathError without an error", &os.PathError{Op: "connect"}},
		{"incomplete struct", struct{ *net.OpError }{}},
		{"pointer to an incomplete struct", &struct{ *net.OpError }{}},
		{"struct without its error", struct{ error }{}},
		{"joined nil pointers", errors.Join(nilOp, (*Panics)(nil))},
		{"wraps itself", wrapsItself{}},
		{"wraps itself by a pointer", &wrapsItself{}},
		{"wraps itself twice", branchesIntoItself{}},
		{"endless chain", endless(0)},
		{"a hundred thousand branches", manyBranches{}},
		{"panics", Panics{"any value"}},
		{"panics within", fmt.Errorf("client: %w", &wrapper{Panics{"any value"}})},
		{"panics with a value that panics", Panics{Panics{"any value"}}},
		{"panics in its branches", panicsInBranches{}},
		{"cannot be compared", notComparable{errors.New("x")}},
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
