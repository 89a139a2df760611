package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-33f8b841/redial/explain"
)

// statuses are those that -status names: 200 by itself, or 2xx for all that begin
// with 2. Empty: all below 500. It is a flag.Value.
type statuses []string

func (s *statuses) String() string { return strings.Join(*s, ",") }

func (s *statuses) Set(text string) error {
	*s = nil
	for _, one := range strings.Split(text, ",") {
		one = strings.ToLower(strings.TrimSpace(one))
		if len(one) != 3 || one[0] < '1' || one[0] > '5' || one[1:] != "xx" && !isNumber(one) {
			return fmt.Errorf("%q is no status: write numbers such as 200,204 or classes such as 2xx", one)
		}
		*s = append(*s, one)
	}
	return nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// accepts reports whether a URL that answers with the status is there.
func (s statuses) accepts(status int) bool {
	text := strconv.Itoa(status)
	for _, one := range s {
		if one == text || one == text[:1]+"xx" {
			return true
		}
	}
	return len(s) == 0 && status < http.StatusInternalServerError
}

// A statusError is the failure of a URL that answered, but with a status that is
// not accepted. It has the standard text of the status, because the server's own text may be
// anything.
type statusError int

func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", int(e), http.StatusText(int(e))))
}

// advice explains the status where accepted are the statuses to wait for.
func (e statusError) advice(accepted statuses) explain.Advice {
	a := explain.Advice{Code: fmt.Sprintf("unknown.status-%d", int(e))}
	if e >= http.StatusInternalServerError {
		a.Observed = fmt.Sprintf("The server is there and answers, but says that it can't serve: %v.", e)
		a.Checks = questions("Is it still starting? Look into its log.",
			"Does it wait for what it depends on, such as a database?",
			"Is it a proxy (502, 503, 504) whose backend is not there?")
		return a
	}
	if e >= 300 && e < 400 {
		a.Observed = fmt.Sprintf("The server is there, but redirects: %v, and -status %v does not accept that.", e, &accepted)
		a.Checks = questions("Give the URL that it redirects to: waitfor does not follow. See: curl -I URL",
			fmt.Sprintf("Is the redirect answer enough? Then add its status: -status %v,%d", &accepted, int(e)))
		return a
	}
	a.Observed = fmt.Sprintf("The server is there, but %v, and -status %v does not accept that.", e, &accepted)
	a.Checks = questions("Is the path of the URL right (404), and does the server take a GET there (405)?",
		"Does it want a user and a password (401, 403)? Give http://user:password@host/path.")
	return a
}

func questions(texts ...string) (checks []explain.Check) {
	for _, text := range texts {
		checks = append(checks, explain.Check{Question: text})
	}
	return checks
}
