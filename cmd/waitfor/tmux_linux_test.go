package main

// waitfor in tmux, as operators run it: it draws in place, and leaves nothing in the scrollback.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// tmux is a server of its own with one window.
type tmux struct {
	t      *testing.T
	socket string
}

// run runs a command of tmux.
func (m *tmux) run(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-u", "-f", os.DevNull, "-S", m.socket}, args...)...).CombinedOutput()
	require.NoError(m.t, err, "%s", out)
	return string(out)
}

// startInTmux starts waitfor in a window of that size. It begins in the first row.
func startInTmux(t *testing.T, columns, rows int, args ...string) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	program := testutil.Program(t, args...)
	m := &tmux{t, filepath.Join(filepath.Dir(testutil.SocketPath(t)), "tmux")}
	command := []string{"new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows)}
	for _, variable := range program.Env {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "REDIAL_") || strings.HasPrefix(name, "GO") {
			command = append(command, "-e", variable)
		}
	}
	m.run(append(append(command, "--"), program.Args...)...)
	t.Cleanup(func() { exec.Command("tmux", "-S", m.socket, "kill-server").Run() })
	return m
}

// await waits until the window, with its scrollback, fits, and returns its text.
func (m *tmux) await(fits func(text string) bool) (text string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		text = strings.TrimRight(m.run("capture-pane", "-p", "-S", "-"), "\n")
		return fits(text)
	}, patience, 20*time.Millisecond)
	return text
}

func TestInTmux(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{30, 44, 100} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			path := socketPath(t)
			closed := closedAddress(t)
			m := startInTmux(t, columns, 12, "-timeout=0", "-interval=20ms", closed, "unix:"+path, "http://世界.invalid/健康")
			m.await(func(text string) bool { return strings.Count(text, "refused") == 2 })
			listener := listenUnix(t, path)
			text := m.await(func(text string) bool { return strings.Contains(text, "  there") })
			listener.Close()
			lines := strings.Split(text, "\n")
			assert.Len(t, lines, 4, "%s", text)
			assert.Equal(t, "1 of 3 there", lines[3])
			assert.Equal(t, "0\n", m.run("display-message", "-p", "#{history_size}"))

			// A wider window has room for more.
			m.run("resize-window", "-x", "120")
			text = m.await(func(text string) bool { return strings.Contains(text, "trying") || strings.Contains(text, "next try") })
			assert.Len(t, strings.Split(text, "\n"), 4, "%s", text)
			m.run("send-keys", "C-c")
		})
	}
}
