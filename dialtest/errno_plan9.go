package dialtest

import "syscall"

const onWindows = false

// tryAgain stands for a text that has an error number in it elsewhere.
const tryAgain = "server misbehaving"

// errnos are strings here (/sys/src/9/port/error.h, /sys/src/9/ip).
var errnos = [numKinds]syscall.ErrorString{
	refuse:        "connection refused",
	noSocket:      "not supported by plan 9",
	reset:         "i/o on hungup channel",
	timeout:       "connection timed out",
	noRoute:       "no route",
	noNetwork:     "network unreachable",
	deny:          "permission denied",
	noDescriptors: "no free file descriptors",
	noPorts:       "network port not available",
	noFamily:      "address family not supported by protocol",
}

// systemError is the error that package net has of the system for k: the
// string alone, of no call.
func systemError(k kind, _ string) error { return errnos[k] }

func winsockError(k kind, network string) error { return systemError(k, network) }

// errBroken is that of a write to a connection that the other end has closed.
var errBroken error = syscall.ErrorString("i/o on hungup channel")
