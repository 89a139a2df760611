//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package cli

import "os"

// windowSize finds no terminal, because not every console here can draw in place.
func windowSize(*os.File) (columns, rows int, ok bool) { return 0, 0, false }

func understandsSequences(*os.File) bool { return false }
