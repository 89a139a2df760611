package explain

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-33f8b841/redial"
)

// The failures that no single rule explains: those of several addresses that failed in
// different ways, and those that a caller did not wait for.

// decisive orders the classes of a name's addresses. The class that says most about why
// no connection was made comes first.
var decisive = []redial.Class{redial.Refused, redial.Reset, redial.TLS, redial.Timeout, redial.Denied, redial.Unreachable}

func rank(c redial.Class) int {
	if i := slices.Index(decisive, c); i >= 0 {
		return i
	}
	return len(decisive)
}

// mostChecks is how many checks an Advice has.
const mostChecks = 4

// mixed explains a name whose addresses failed in different ways: what came of
// each, and then the first check of each way, the most decisive way first. If there is room, the
// second checks follow. Each check has only its first question, so that many fit.
func (f *facts) mixed() Advice {
	ways := f.ways()
	outcomes := make([]string, len(ways))
	checks := make([][]Check, len(ways))
	for i, way := range ways {
		outcomes[i] = outcome(way)
		one := f.ofAddress(way[0])
		for _, c := range one.advice().Checks {
			question, _, more := strings.Cut(c.Question, "? ")
			if more {
				question += "?"
			}
			c.Question = one.ip() + ": " + question
			checks[i] = append(checks[i], c)
		}
	}
	a := Advice{Code: f.class.String() + ".mixed", Observed: "None of the " + strconv.Itoa(len(f.results)) + " addresses of " +
		f.asked.String() + " worked: " + strings.Join(outcomes, "; ") + f.history() + "."}
	most := min(max(len(ways), 3), mostChecks)
	for round := range most {
		for _, c := range checks {
			if round < len(c) && len(a.Checks) < most {
				a.Checks = append(a.Checks, c[round])
			}
		}
	}
	return a
}

// ways groups the addresses by how they failed, the most decisive way first.
func (f *facts) ways() (ways [][]redial.AddrResult) {
	for _, r := range f.results {
		i := slices.IndexFunc(ways, func(way []redial.AddrResult) bool { return failedAlike(way[0], r) })
		if i < 0 {
			i, ways = len(ways), append(ways, nil)
		}
		ways[i] = append(ways[i], r)
	}
	slices.SortStableFunc(ways, func(a, b []redial.AddrResult) int { return cmp.Compare(rank(a[0].Class), rank(b[0].Class)) })
	return ways
}

// outcome says what came of the addresses that failed in one way.
func outcome(way []redial.AddrResult) string {
	var names []string
	least, most := way[0].Duration, way[0].Duration
	for _, r := range way {
		names = append(names, r.Addr.Addr().String())
		least, most = min(least, r.Duration), max(most, r.Duration)
	}
	text := list(names, 2)
	switch class := way[0].Class; {
	case way[0].Connected && class == redial.Timeout:
		return text + " accepted, and then gave no answer in " + span(least, most)
	case way[0].Connected:
		return text + " accepted, and then failed (" + class.String() + ")"
	case class == redial.Refused:
		return text + " refused"
	case class == redial.Timeout:
		return text + " gave no answer in " + span(least, most)
	default:
		return text + " " + class.String()
	}
}

// canceled explains a dial that its caller ended. If the dial had met a failure until then, that
// is what kept it from connecting.
func (f *facts) canceled() Advice {
	a, before := f.advice(), f.before()
	if before.isZero() {
		return a
	}
	a.Code = "canceled." + before.Code
	a.Likely = strings.TrimSpace("Until then: " + lowered(before.Observed) + " " + a.Likely)
	a.Checks = append(before.Checks[:min(len(before.Checks), mostChecks-1)], a.Checks[0])
	return a
}

// before explains the last failure that was not the caller's doing. It returns the zero Advice if
// there was none.
func (f *facts) before() Advice {
	if f.dial == nil {
		return Advice{}
	}
	for _, attempt := range slices.Backward(f.dial.History) {
		if attempt.Err == nil || attempt.Class == redial.Canceled {
			continue
		}
		earlier := *f.dial
		earlier.Attempts, earlier.Class, earlier.Err, earlier.Stop, earlier.Cause = 1, attempt.Class, attempt.Err, redial.ErrMaxAttempts, nil
		earlier.History = []redial.Attempt{attempt}
		return on(&earlier, f.goos)
	}
	return Advice{}
}
