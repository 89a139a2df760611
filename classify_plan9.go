package redial

import "syscall"

// errnoRefused is what connect says where nothing accepts.
var errnoRefused error = syscall.ErrorString("connection refused")

// classOfSystem returns the class of an error of the kernel, which is a string.
func classOfSystem(err error, _ place) Class {
	if e, ok := err.(syscall.ErrorString); ok {
		return plan9Class[string(e)]
	}
	return Unknown
}
