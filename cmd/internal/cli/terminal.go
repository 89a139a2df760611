package cli

import "os"

// A Terminal is a screen on which a program can draw in place and in colors.
type Terminal struct {
	Size func() (columns, rows int) // nil: there is no terminal
}

// TerminalOf returns the terminal that f writes to, if it understands control sequences.
func TerminalOf(f *os.File) Terminal {
	if _, _, ok := windowSize(f); !ok || os.Getenv("TERM") == "dumb" || !understandsSequences(f) {
		return Terminal{}
	}
	return Terminal{func() (columns, rows int) {
		columns, rows, _ = windowSize(f)
		if columns <= 0 || rows <= 0 { // not known, as on a serial line
			return 80, 24
		}
		return columns, rows
	}}
}

// HasColors reports whether to write in colors (no-color.org).
func (t Terminal) HasColors() bool { return t.Size != nil && os.Getenv("NO_COLOR") == "" }
