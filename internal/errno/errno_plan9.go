package errno

import "syscall"

// Of returns the Condition of err itself, whatever it wraps. A string is the
// whole of an error here, and is compared as a whole.
func Of(err error) Condition {
	if e, ok := err.(syscall.ErrorString); ok {
		return ofPlan9[string(e)]
	}
	return Unknown
}

// Err returns the error that this system's calls return for c; nil if it has
// none.
func (c Condition) Err() error {
	if c < NumConditions && len(table[c].plan9) > 0 {
		return syscall.ErrorString(table[c].plan9[0])
	}
	return nil
}

// Winsock returns what Err does: Plan 9 has no numbers.
func (c Condition) Winsock() error { return c.Err() }
