package errno

import "syscall"

// Of returns the Condition of err itself. It does not look at errors that err wraps. On Plan 9 an
// error is a string, which must match as a whole.
func Of(err error) Condition {
	if e, ok := err.(syscall.ErrorString); ok {
		return ofPlan9[string(e)]
	}
	return Unknown
}

// Err returns the error that this system's calls return for c, or nil if there is none.
func (c Condition) Err() error {
	if c < NumConditions && len(table[c].plan9) > 0 {
		return syscall.ErrorString(table[c].plan9[0])
	}
	return nil
}

// Winsock returns what Err returns, because Plan 9 has no error numbers.
func (c Condition) Winsock() error { return c.Err() }
