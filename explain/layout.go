package explain

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-33f8b841/redial/internal/plain"
)

// The size of an explanation.
const (
	width        = 120 // columns of a line
	mostLines    = 6
	longestShown = 64 // bytes of a name or a text of others
)

const bullet, under = "  - ", "    " // under continues a bullet

// String returns the advice in at most six lines of at most 120 columns: what was
// observed and is likely, and then as many checks as fit, at least one. There is no newline
// at the end.
func (a Advice) String() string {
	if a.isZero() {
		return ""
	}
	lines := a.headline()
	for i, c := range a.Checks {
		next := c.lines()
		if len(lines)+len(next) > mostLines && i > 0 {
			break
		}
		lines = append(lines, next...)
	}
	for i, line := range lines {
		lines[i] = cut(printable(line), width)
	}
	return strings.Join(lines[:min(len(lines), mostLines)], "\n")
}

// headline returns what was observed and is likely, in two lines where that does not fit in one.
// Three lines take the longest names.
func (a Advice) headline() []string {
	if a.Likely == "" {
		return wrap("", "  ", a.Observed)
	}
	if one := a.Observed + " " + a.Likely; columns(one) <= width {
		return []string{one}
	}
	lines := append(wrap("", "  ", a.Observed), wrap("  ", "  ", a.Likely)...)
	if whole := wrap("", "  ", a.Observed+" "+a.Likely); len(whole) < len(lines) {
		lines = whole
	}
	return lines[:min(len(lines), 3)]
}

// lines returns the check: in one line, or with the command in a line of its own.
func (c Check) lines() []string {
	command := ""
	if c.Command != "" {
		command = c.Where + ": " + c.Command
	}
	if one := bullet + strings.TrimSpace(c.Question+" "+command); columns(one) <= width {
		return []string{one}
	}
	lines := wrap(bullet, under, c.Question)
	if command != "" {
		lines = append(lines, under+command)
	}
	return lines
}

// wrap breaks text into lines between words. The first line begins with first, the others
// with rest.
func wrap(first, rest, text string) []string {
	lines := []string{first}
	empty := true // the last line has no word yet
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case empty:
			*last += word
		case columns(*last)+1+columns(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, rest+word)
		}
		empty = false
	}
	return lines
}

// columns returns how wide s is on a terminal. It counts letters of double width, as
// Chinese ones are, as one column.
func columns(s string) int { return utf8.RuneCountInString(s) }

// cut returns s, or its beginning if it is wider than most.
func cut(s string, most int) string {
	if columns(s) <= most {
		return s
	}
	return string([]rune(s)[:most-3]) + "..."
}

// printable returns s with a question mark in place of each odd character. Names
// are quoted where they are used; this is for what slips through.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isOdd(r) {
			return '?'
		}
		return r
	}, s)
}

// isOdd reports whether r is not to be printed as it is.
func isOdd(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// quote returns text of others in quotation marks: of one line, without odd
// characters, and not too long.
func quote(text string) string { return strconv.Quote(shortened(text)) }

// shortened returns text, or its beginning and end if it is too long.
func shortened(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= longestShown {
		return text
	}
	return strings.ToValidUTF8(text[:longestShown*2/3], "") + "..." + strings.ToValidUTF8(text[len(text)-longestShown/3:], "")
}

// shown returns a name or an address as it is, or quoted if it is odd.
func shown(s string) string {
	if s == "" || strings.ContainsFunc(s, isOdd) || strings.ContainsAny(s, " \"'`") || len(s) > longestShown {
		return quote(s)
	}
	return s
}

// rounded returns d as a person would say it: 1.2s, 340ms.
func rounded(d time.Duration) string { return plain.Duration(d).String() }

// list joins names by commas and an "and". If there are more than most names, and not just one
// more, it counts the rest.
func list(names []string, most int) string {
	if n := len(names) - most; n > 1 {
		names = append(names[:most:most], strconv.Itoa(n)+" more")
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// sentence returns s with a capital at its beginning, if a word begins it.
func sentence(s string) string {
	if rest, ok := strings.CutPrefix(s, "the "); ok {
		return "The " + rest
	}
	return s
}

// lowered returns s without the capital at its beginning, if one of this
// package's own words begins it.
func lowered(s string) string {
	for _, word := range []string{"No ", "Nothing ", "None ", "The ", "There ", "This ", "A "} {
		if rest, ok := strings.CutPrefix(s, word); ok {
			return strings.ToLower(word) + rest
		}
	}
	return s
}
