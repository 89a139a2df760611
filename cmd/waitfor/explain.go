package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-33f8b841/redial"
	explanation "github.com/seed-33f8b841/redial/explain"
)

// few is how many targets are reported one by one. If more fail in the same way,
// they are reported together.
const few = 5

// A kind is what failures have in common that need the same advice.
type kind struct {
	code   string // of the advice
	detail string // what the code leaves open
}

// explainFailures explains the failure of each target that failed. If classes are
// given, it explains only the failures of these classes.
func (o *options) explainFailures(errOut io.Writer, failures []error, only ...redial.Class) {
	var kinds []kind // in the order of the targets
	members := make(map[kind][]int)
	for i, err := range failures {
		if err == nil || len(only) > 0 && !slices.Contains(only, redial.Classify(err)) {
			continue
		}
		k := kindOf(err)
		if members[k] == nil {
			kinds = append(kinds, k)
		}
		members[k] = append(members[k], i)
	}
	for _, k := range kinds {
		o.explainKind(errOut, failures, k, members[k])
	}
}

func (o *options) explainKind(errOut io.Writer, failures []error, k kind, members []int) {
	if len(members) > few {
		names := make([]string, len(members))
		for i, member := range members {
			names[i] = o.targets[member].Name
		}
		fmt.Fprintf(errOut, "\n%d targets failed in the same way (%s):\n%s\nThe first of them:\n", len(members), k.what(), wrapped(names))
		members = members[:1]
	} else {
		fmt.Fprintln(errOut)
	}
	for i, member := range members {
		if i > 0 {
			fmt.Fprintln(errOut)
		}
		fmt.Fprintf(errOut, "%s: %v\n%s\n", o.targets[member].Name, failures[member], o.explain(failures[member]))
	}
}

// kindOf does not look at messages where the library knows the failure, because the messages of the
// same failure differ by addresses and times.
func kindOf(err error) kind {
	k := kind{code: explanation.For(err).Code}
	root := err
	if failed, ok := errors.AsType[*redial.Error](err); ok {
		root = failed.Err
	}
	for next := errors.Unwrap(root); next != nil; next = errors.Unwrap(root) {
		root = next
	}
	if strings.Contains(k.code, "unknown.") || strings.Contains(k.code, "tls.") {
		k.detail = root.Error()
	}
	return k
}

// what says in a few words what failures of the kind have in common.
func (k kind) what() string { return cmp.Or(k.detail, k.code) }

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
		if len(line)+len(name) > lineLength && strings.TrimSpace(line) != "" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = "  "
		}
		line += name
	}
	return b.String() + line
}

// explain adds to the library's advice what only this program knows.
func (o *options) explain(err error) string {
	status, answered := errors.AsType[statusError](err)
	switch {
	case errors.Is(err, errStillThere):
		return "It still accepts connections: its server has not ended.\n" +
			"  - Was the server told to end? Does it wait for its clients, or for a timeout?\n" +
			"  - Did another server, or a supervisor, take the address over?"
	case !answered:
		return explain(err)
	case status >= 500:
		return "The server is there and answers, but says that it can't serve: " + status.Error() + ".\n" +
			"  - Is it still starting? Look into its log.\n" +
			"  - Does it wait for what it depends on, such as a database?\n" +
			"  - Is it a proxy (502, 503, 504) whose backend is not there?"
	case status >= 300 && status < 400:
		return "The server is there, but redirects: " + status.Error() + ", and -status " + o.status.String() + " does not accept that.\n" +
			"  - Give the URL that it redirects to: waitfor does not follow. See: curl -I URL\n" +
			"  - Is the redirect answer enough? Then add its status: -status " + o.status.String() + fmt.Sprintf(",%d", int(status))
	}
	return "The server is there, but " + status.Error() + ", and -status " + o.status.String() + " does not accept that.\n" +
		"  - Is the path of the URL right (404), and does the server take a GET there (405)?\n" +
		"  - Does it want a user and a password (401, 403)? Give http://user:password@host/path."
}

// explain says what most likely happened, and what to check.
func explain(err error) string { return explanation.Error(err) }
