package cli

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a foreign text are shown.
const longest = 300

// Foreign returns a text that comes from outside, such as an argument or an error with a
// server's words, as it can be printed: on one line, not too long, and with each character
// that a terminal could take for a command escaped as in Go (\x1b).
func Foreign(text string) string {
	var b strings.Builder
	for text := shortened(text, longest); text != ""; {
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteRune(r)
		} else {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// shortened returns text without its middle if it has more than most characters. The ends say
// more: an error's last words are its cause.
func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:most*2/3]) + " ... " + string(runes[len(runes)-most/3:])
}

// user matches what may be a user and a password: what comes before a colon, perhaps after
// a scheme, and from there to the last @.
var user = regexp.MustCompile(`(?s)((?:[a-zA-Z][a-zA-Z0-9+.-]*://)?[^\s"':/@]*):.*@`)

// Redact returns an argument, or a message that quotes one, without the password. If the text
// is not a valid URL, Redact hides everything from the first colon after a scheme to the last @.
func Redact(text string) string {
	if u, err := url.Parse(text); err == nil && strings.Contains(text, "://") {
		if _, ok := u.User.Password(); ok {
			return u.Redacted()
		}
		return text
	}
	return user.ReplaceAllString(text, "${1}:xxxxx@")
}

// Width returns how many columns of a terminal a printable text takes up.
func Width(text string) (columns int) {
	for _, r := range text {
		columns += widthOf(r)
	}
	return columns
}

// widthOf is right for most characters of most terminals. It errs towards two columns, with
// which a line ends early but does not wrap.
func widthOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi),
		0x3000 <= r && r <= 0x303f, 0xff01 <= r && r <= 0xff60, 0xffe0 <= r && r <= 0xffe6, // full-width forms
		0x2600 <= r && r <= 0x27bf, 0x1f000 <= r && r <= 0x1faff: // pictures
		return 2
	}
	return 1
}

// Pad returns text with spaces after it, until it has that width.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-Width(text), 0))
}

// Cut returns the beginning of text that fits into so many columns.
func Cut(text string, columns int) string {
	for i, r := range text {
		if columns -= widthOf(r); columns < 0 {
			return text[:i]
		}
	}
	return text
}

// CutLeft returns the end of text that fits into so many columns.
func CutLeft(text string, columns int) string {
	start := len(text)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if columns -= widthOf(r); columns < 0 {
			break
		}
		start -= size
	}
	return text[start:]
}
