// Package explain says why a dial failed, for people: what was observed, what is likely, and what
// to check. It takes the errors of package redial, of package net, and of clients that wrap either.
package explain

import (
	"runtime"

	"github.com/seed-33f8b841/redial"
)

// Rules in tables choose the text: the first rule that fits the facts of an error wins. Facts.go
// collects the facts, rules.go has what a rule can say, and each rules_*.go has the rules of some
// classes.

// An Advice explains a failed dial.
type Advice struct {
	// Code names the kind of failure, such as "refused.loopback": a class of package
	// redial, a dot, and what the class leaves open. It ends with ".mixed" if the addresses
	// of a name failed in different ways. After "canceled." comes the code of the failure
	// before, if there was one. A program can group failures by the code. Codes are stable:
	// a version that changes one says so in its change log. The texts below change freely.
	Code     string
	Observed string  // what is certain: a sentence
	Likely   string  // one or two causes, in sentences; empty if none is likelier than others
	Checks   []Check // what to look into, the likeliest first; at most 4
}

// A Check is one thing to look into.
type Check struct {
	Question string // and what to look for in the command's result
	Where    string // where to run Command: "Here", or "On the server, as root"; empty without a Command
	Command  string // of the operating system that the program runs on; empty if none helps
}

// For explains a failed dial. It does no I/O. It decides by the structure of err, and reads a text
// only where package net keeps nothing else, as in a *net.DNSError. Names from err are quoted if they
// hold odd characters, in commands too; a user and password are not shown. For repeats err's message only
// if it does not understand err: print err as well.
//
// The Advice of nil is the zero Advice. For can be called concurrently.
func For(err error) Advice { return on(err, runtime.GOOS) }

// Error returns For(err).String():
//
//	127.0.0.1:5432 refused the connection. Likely no server listens there on this machine.
//	  - Is a server listening on port 5432 of 127.0.0.1, 0.0.0.0 or *? Here: ss -ltnp
//	  - ...
//
// The explanation of nil is empty.
func Error(err error) string { return For(err).String() }

// on is For on the operating system named goos.
func on(err error, goos string) Advice {
	if err == nil {
		return Advice{}
	}
	f := factsOf(err, goos)
	if f.class == redial.Canceled {
		return f.canceled()
	}
	if f.differ() {
		return f.mixed()
	}
	return f.advice()
}

// isZero reports whether a is the Advice of no failure.
func (a Advice) isZero() bool { return a.Code == "" }
