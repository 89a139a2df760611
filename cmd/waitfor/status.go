package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
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
// not accepted. It has the standard text of the status: the server's own text may
// hold anything, escape sequences of terminals included.
type statusError int

func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", int(e), http.StatusText(int(e))))
}
