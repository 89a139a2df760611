//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import "os"

// terminalOf returns no terminal, because not every console here can draw in place.
func terminalOf(*os.File) terminal { return terminal{} }
