package target

import (
	"net/url"
	"regexp"
	"strings"
)

// hidden stands for a password, as in url.URL.Redacted.
const hidden = "xxxxx"

// Redact returns an argument without its password. If the argument is not a valid
// URL, Redact hides everything from the colon after the user to the last @.
func Redact(arg string) string {
	if u, err := url.Parse(arg); err == nil && strings.Contains(arg, "://") {
		if _, ok := u.User.Password(); ok {
			return u.Redacted()
		}
		return arg
	}
	at := strings.LastIndex(arg, "@")
	if at < 0 {
		return arg
	}
	scheme, user := "", arg[:at]
	if before, after, ok := strings.Cut(user, "://"); ok {
		scheme, user = before+"://", after
	}
	name, _, ok := strings.Cut(user, ":")
	if !ok {
		return arg
	}
	return scheme + name + ":" + hidden + arg[at:]
}

// userInText matches what may be a user and a password within a text: from the
// start of a URL, or the first colon of a quotation, to the last @.
var userInText = regexp.MustCompile(`(?s)("[^":]*:(?://)?|://).*@`)

// RedactText returns a message without the passwords in it. It may hide more.
func RedactText(message string) string {
	return userInText.ReplaceAllString(message, "${1}"+hidden+"@")
}
