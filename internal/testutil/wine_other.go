//go:build !windows

package testutil

// OnWine reports whether Wine runs the test, and not Windows.
func OnWine() bool { return false }
