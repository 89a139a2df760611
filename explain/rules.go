package explain

import (
	"slices"
	"strings"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
)

// A rule says what to tell about the failures of a class that its predicate describes. To
// add a case, add a row above the more general ones of its class, and a golden file.
//
// Texts have placeholders in braces. Those in placeholders.go are the only ones. A
// placeholder with a question mark at its end may be empty; it brings its own space.
type rule struct {
	code     string            // without the class
	when     func(*facts) bool // nil: always
	observed string            // a sentence without its full stop
	likely   string            // sentences, or empty
	checks   []check           // the likeliest first; of equally likely ones, the cheapest
}

// A check is one question, and the command that answers it.
type check struct {
	question string
	where    place
	run      command
}

// A place is where to run a command.
type place string

const (
	here        place = "Here"
	onServer    place = "On the server" // or Here, if this machine was dialed
	onWay       place = "Here, there and between"
	onDNSServer place = "On the DNS server"
	onHost      place = "On the host of the container"
)

// say is a check without a command, ask one with a command.
func say(question string) check                           { return check{question: question} }
func ask(question string, where place, run command) check { return check{question, where, run} }

// row makes a rule.
func row(code string, when func(*facts) bool, observed, likely string, checks ...check) rule {
	return rule{code, when, observed, likely, checks}
}

// rules has the rules of each class in order. The last one always fits.
var rules = map[redial.Class][]rule{
	redial.Unknown: unknownRules, redial.Refused: refusedRules, redial.Reset: resetRules, redial.DNS: dnsRules,
	redial.NotFound: notFoundRules, redial.Timeout: timeoutRules, redial.Unreachable: unreachableRules, redial.Denied: deniedRules,
	redial.Exhausted: exhaustedRules, redial.TLS: tlsRules, redial.Invalid: invalidRules, redial.Canceled: canceledRules,
}

// advice returns what the first rule that fits says.
func (f *facts) advice() Advice { return f.rule().advice(f) }

// rule returns the first rule that fits.
func (f *facts) rule() *rule {
	table := rules[f.class]
	return &table[slices.IndexFunc(table, func(r rule) bool { return r.when == nil || r.when(f) })]
}

// advice returns what the rule says about the failure.
func (r *rule) advice(f *facts) Advice {
	a := Advice{Code: f.class.String() + "." + r.code, Observed: f.fill(r.observed) + f.history() + ".", Likely: f.fill(r.likely)}
	for _, c := range r.checks {
		a.Checks = append(a.Checks, c.filled(f))
	}
	return a
}

// filled returns the check for the failure, without its command if this system has none or if
// a part of it is not known.
func (c check) filled(f *facts) Check {
	line, asRoot := f.command(c.run)
	if line == "" {
		return Check{Question: f.fill(c.question)}
	}
	where := c.where
	switch {
	case where == onHost:
	case f.dns != nil && f.isLoopbackServer(), f.dns == nil && (f.isLocal() || f.isUnix()):
		where = here
	}
	if asRoot {
		where += ", as root"
	}
	return Check{f.fill(c.question), string(where), line}
}

// fill replaces the placeholders in text.
func (f *facts) fill(text string) string {
	filled, _ := expand(text, func(name string) string {
		if value, ok := texts[name]; ok {
			return value(f)
		}
		return shown(words[name](f))
	})
	return filled
}

// expand replaces each "{name}" in text by its value. It reports false if a value is empty.
func expand(text string, value func(name string) string) (string, bool) {
	var b strings.Builder
	complete := true
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String(), complete
		}
		name, after, _ := strings.Cut(rest, "}")
		v := value(name)
		complete = complete && v != ""
		b.WriteString(v)
		text = after
	}
}

// Predicates are made of these and of the questions in facts.go.

func all(conditions ...func(*facts) bool) func(*facts) bool {
	return func(f *facts) bool {
		for _, c := range conditions {
			if !c(f) {
				return false
			}
		}
		return true
	}
}

func not(condition func(*facts) bool) func(*facts) bool {
	return func(f *facts) bool { return !condition(f) }
}

// reported fits if the system reported one of these.
func reported(conditions ...errno.Condition) func(*facts) bool {
	return func(f *facts) bool {
		for _, c := range conditions {
			if f.condition == c {
				return true
			}
		}
		return false
	}
}

// by fits if that system call failed.
func by(call string) func(*facts) bool {
	return func(f *facts) bool { return f.call == call }
}
