package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// few is how many targets are reported one by one. If more fail in the same way,
// they are reported together.
const few = 5

// A failure is the failure of one target, and what to do about it.
type failure struct {
	name    string
	message string
	advice  explain.Advice
	kind    string // equal for failures that need the same advice
	reason  string // what failures of the kind have in common
}

// explainFailures explains the failure of each target that failed. If classes are
// given, it explains only the failures of these classes.
func (o *options) explainFailures(errOut io.Writer, failures []error, only ...redial.Class) {
	var kinds []string // in the order of the targets
	members := make(map[string][]failure)
	slow := false
	for i, err := range failures {
		if err == nil || len(only) > 0 && !slices.Contains(only, redial.Classify(err)) {
			continue
		}
		f := o.failureOf(o.targets[i], err)
		if members[f.kind] == nil {
			kinds = append(kinds, f.kind)
		}
		members[f.kind] = append(members[f.kind], f)
		slow = slow || canStillCome(err)
	}
	for _, k := range kinds {
		explainKind(errOut, members[k])
	}
	if slow && len(only) == 0 {
		fmt.Fprintf(errOut, "\nIf it only needs more time, raise -timeout (now %v).\n", plain.Duration(o.timeout))
	}
}

func explainKind(errOut io.Writer, members []failure) {
	if len(members) > few {
		names := make([]string, len(members))
		for i, f := range members {
			names[i] = f.name
		}
		fmt.Fprintf(errOut, "\n%d targets failed in the same way (%s):\n%s\nThe first of them:\n", len(members), members[0].reason, wrapped(names))
		members = members[:1]
	} else {
		fmt.Fprintln(errOut)
	}
	for i, f := range members {
		if i > 0 {
			fmt.Fprintln(errOut)
		}
		fmt.Fprintf(errOut, "%s: %s\n%s\n", f.name, f.message, f.advice)
	}
}

// failureOf finds the kind by the advice's code, because the messages of the same failure
// differ by addresses and times. Codes that say little need the message too.
func (o *options) failureOf(t target.Target, err error) failure {
	class := redial.Classify(err)
	f := failure{name: t.Name, message: target.Message(err), advice: o.advise(t, err), reason: target.Outcome(class)}
	f.kind = f.advice.Code
	if class == redial.Unknown || class == redial.TLS {
		f.reason = cli.Foreign(rootOf(err).Error())
		f.kind += ": " + f.reason
	}
	return f
}

// rootOf returns the innermost error.
func rootOf(err error) error {
	if failed, ok := errors.AsType[*redial.Error](err); ok {
		err = failed.Err
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// canStillCome reports whether a target that failed so can be there later, although nobody
// changes anything.
func canStillCome(err error) bool {
	if status, ok := errors.AsType[statusError](err); ok {
		return status >= http.StatusInternalServerError
	}
	slow := []redial.Class{redial.Refused, redial.Reset, redial.DNS, redial.NotFound, redial.Timeout, redial.Unreachable}
	return errors.Is(err, errStillThere) || slices.Contains(slow, redial.Classify(err))
}

// lineLength is how long a line of names may be.
const lineLength = 100

// wrapped returns the names in indented lines.
func wrapped(names []string) string {
	var b strings.Builder
	line := "  "
	for i, name := range names {
		if i < len(names)-1 {
			name += ", "
		}
		if cli.Width(line)+cli.Width(name) > lineLength && strings.TrimSpace(line) != "" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = "  "
		}
		line += name
	}
	return b.String() + line
}

// advise adds to other advice what only this program knows.
func (o *options) advise(t target.Target, err error) explain.Advice {
	if status, ok := errors.AsType[statusError](err); ok {
		return status.advice(o.status)
	}
	if errors.Is(err, errStillThere) {
		return explain.Advice{Code: "unknown.still-there", Observed: "It still accepts connections: its server has not ended.",
			Checks: questions("Was the server told to end? Does it wait for its clients, or for a timeout?",
				"Did another server, or a supervisor, take the address over?")}
	}
	return target.Advise(t, err)
}
