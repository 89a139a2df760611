// Package foreign asks errors, connections and addresses that others have made. Such a value can
// hold a nil pointer, be a struct whose parts are missing, wrap itself, or panic in any of its
// methods. The functions here never panic and always return: a panic counts as no answer, and a
// tree of errors is visited to a bounded depth and size. They cannot interrupt a method that
// blocks, exits its goroutine or exhausts the stack.
package foreign

import (
	"fmt"
	"io"
	"net"
	"reflect"
)

// The bounds of a visit to a tree of errors. Both exceed what errors are made of, and end a
// visit soon if errors wrap themselves.
const (
	MaxDepth = 100  // of errors that wrap each other
	MaxNodes = 1000 // of a whole tree
)

// Try calls f. It reports whether f returned without a panic.
func Try(f func()) (ok bool) {
	defer func() {
		if !ok {
			_ = recover()
		}
	}()
	f()
	return true
}

// IsNil reports whether v is nil or holds a nil pointer.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	value := reflect.ValueOf(v)
	return value.Kind() == reflect.Pointer && value.IsNil()
}

// Unwrap returns what err itself wraps: one error or several, of which any may be nil. It returns
// neither if err wraps nothing.
//
//lint:ignore ST1008 the error that err wraps is no failure of Unwrap
func Unwrap(err error) (one error, several []error) {
	switch e := err.(type) { // a nil pointer's method panics, or knows what it does
	case interface{ Unwrap() error }:
		Try(func() { one = e.Unwrap() })
	case interface{ Unwrap() []error }:
		Try(func() { several = e.Unwrap() })
	}
	return one, several
}

// Find calls match for err and for the errors that it wraps, in the order in which errors.As visits
// them, until match returns true. It reports whether match did. Nil pointers are passed over, and
// so is an error for which match panics.
func Find(err error, match func(error) bool) bool {
	nodes := MaxNodes
	return find(err, match, MaxDepth, &nodes)
}

// find does Find's work, at most depth levels down. It subtracts the errors that it visits from nodes.
func find(err error, match func(error) bool, depth int, nodes *int) (found bool) {
	for ; !IsNil(err) && depth > 0 && *nodes > 0; depth-- {
		*nodes--
		if Try(func() { found = match(err) }); found {
			return true
		}
		one, several := Unwrap(err)
		for _, branch := range several[:min(len(several), *nodes)] {
			if find(branch, match, depth-1, nodes) {
				return true
			}
		}
		err = one
	}
	return false
}

// As returns the first error in err's tree that is an E, or that says so by its As method, as
// errors.AsType does. It never returns a nil pointer.
func As[E error](err error) (found E, ok bool) {
	ok = Find(err, func(node error) bool {
		if e, is := node.(E); is {
			found = e
			return true
		}
		if a, has := node.(interface{ As(any) bool }); has {
			var e E // on the heap, so it is declared only where it is needed
			if a.As(&e) && !IsNil(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found, ok
}

// Is reports whether an error in err's tree is target, or says so by its Is method, as errors.Is
// does.
func Is(err, target error) bool {
	if err == nil || target == nil {
		return err == target
	}
	return Find(err, func(node error) bool {
		same := false
		Try(func() { same = node == target }) // some types cannot be compared
		if same {
			return true
		}
		e, ok := node.(interface{ Is(error) bool })
		return ok && e.Is(target)
	})
}

// Holds reports whether target itself is in err's tree. It does not ask Is methods.
func Holds(err, target error) bool {
	return target != nil && Find(err, func(node error) bool { return node == target }) // Find survives types that cannot be compared
}

// Timeout returns what the first error in err's tree that has a Timeout method says; false if none
// has. It passes over an error whose method panics.
func Timeout(err error) (timeout bool) {
	Find(err, func(node error) bool {
		e, ok := node.(interface{ Timeout() bool })
		if ok {
			timeout = e.Timeout()
		}
		return ok
	})
	return timeout
}

// Temporary is Timeout for the Temporary method.
func Temporary(err error) (temporary bool) {
	Find(err, func(node error) bool {
		e, ok := node.(interface{ Temporary() bool })
		if ok {
			temporary = e.Temporary()
		}
		return ok
	})
	return temporary
}

// Text returns the message of err, and "<nil>" for nil. If the Error method panics, Text returns
// what package fmt makes of the error: "<nil>" for a nil pointer.
func Text(err error) (text string) {
	if err == nil {
		return "<nil>"
	}
	if Try(func() { text = err.Error() }) || Try(func() { text = fmt.Sprint(err) }) {
		return text
	}
	return fmt.Sprintf("%T", err) // the value of the panic panics in package fmt
}

// String returns the text of s. It returns the empty string if s is nil or a nil pointer, or if its
// String method panics.
func String(s fmt.Stringer) (text string) {
	if !IsNil(s) {
		Try(func() { text = s.String() })
	}
	return text
}

// RemoteAddr returns the remote address of conn. It returns nil if conn has none to give: it is
// nil, its method panics, or the address is a nil pointer.
func RemoteAddr(conn net.Conn) (addr net.Addr) {
	if Try(func() { addr = conn.RemoteAddr() }) && !IsNil(addr) {
		return addr
	}
	return nil
}

// Close closes c and ignores the result. C can be nil.
func Close(c io.Closer) {
	Try(func() { _ = c.Close() })
}
