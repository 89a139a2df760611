package main

// waitfor on a terminal: a pseudoterminal (pty(7)), whose other end the test
// holds, as a terminal emulator does.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// openPty opens both ends of a new pseudoterminal of that size.
func openPty(t *testing.T, columns, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("this machine has no pseudoterminals: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { master.Close() })
	var number uint32
	var unlock int32
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { slave.Close() })
	size := [4]uint16{rows, columns}
	ioctl(t, slave, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	return master, slave
}

func ioctl(t *testing.T, f *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(t, err)
	var errno syscall.Errno
	require.NoError(t, raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
	}))
	require.Zero(t, errno, "ioctl %#x: %v", request, errno)
}

// startOnPty starts waitfor with a terminal as its controlling one and its
// standard error. What is shown on it is copied to the process's stderr.
func startOnPty(t *testing.T, columns, rows uint16, args ...string) (p *process, keyboard io.Writer) {
	t.Helper()
	master, slave := openPty(t, columns, rows)
	p = &process{t: t, cmd: testutil.Program(t, args...)}
	p.cmd.Env = append(p.cmd.Env, "TERM="+cmp.Or(os.Getenv("TERM"), "xterm"), "NO_COLOR=")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, &p.stdout, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	require.NoError(t, p.cmd.Start())
	slave.Close()
	copied := make(chan struct{})
	go func() {
		io.Copy(&p.stderr, master) // until EIO, when nobody has the other end any more
		close(copied)
	}()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
		<-copied
	})
	return p, master
}

func TestOnTerminal(t *testing.T) {
	t.Parallel()
	server, status := serve(t, http.StatusServiceUnavailable)
	path := socketPath(t)
	p, _ := startOnPty(t, 100, 24, "-timeout=0", "unix:"+path, server.URL, "--", "sh", "-c", "echo run; echo last words >&2")
	p.stderr.Await(t, "refused      ")
	p.stderr.Await(t, "status 503   ")
	p.stderr.Await(t, ", next try in ")
	p.stderr.Await(t, "\x1b[3A") // drawn in place
	listenUnix(t, path)
	p.stderr.Await(t, "\x1b[32munix:"+path)
	status.Store(http.StatusOK)
	assert.Zero(t, p.code())
	assert.Equal(t, "run\n", p.stdout.String(), "standard output is the command's alone")
	p.stderr.Await(t, "last words")

	lines := strings.Split(strings.TrimSpace(screenOf(p.stderr.String())), "\n")
	require.Len(t, lines, 3, "%q", lines)
	assert.Regexp(t, `^unix:\S+ +there +after \d+ attempts in \S+s$`, lines[0])
	assert.Regexp(t, `^http:\S+ +there +after \d+ attempts in \S+s$`, lines[1])
	assert.Equal(t, "last words", lines[2])
}

// Ctrl-C on the terminal ends waitfor, which says so. The command does not run.
func TestInterruptOnTerminal(t *testing.T) {
	p, keyboard := startOnPty(t, 100, 24, "-timeout=0", closedAddress(t), "--", "echo", "not to be run")
	p.stderr.Await(t, ", next try in ")
	_, err := keyboard.Write([]byte{3})
	require.NoError(t, err)
	assert.Equal(t, 130, p.code())
	p.stderr.Await(t, "waitfor: got signal interrupt")
	assert.Empty(t, p.stdout.String())
}

// The live lines follow a terminal that shrinks, and say how much time is left.
func TestShrinkingTerminal(t *testing.T) {
	t.Parallel()
	long := "unix:" + socketPath(t) + strings.Repeat("x", 40)
	p, terminal := startOnPty(t, 120, 24, "-timeout=1h", long, "unix:"+socketPath(t))
	p.stderr.Await(t, long+"  refused      ")
	p.stderr.Await(t, "0 of 2 there, 59m")
	size := [4]uint16{2, 30}
	ioctl(t, terminal.(*os.File), syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	p.stderr.Await(t, "2 not shown, 0 of 2 there, 59")
	size = [4]uint16{24, 30}
	ioctl(t, terminal.(*os.File), syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	p.stderr.Await(t, "xxxxxxx  refused\x1b[K\r\n")
	_, err := terminal.Write([]byte{3})
	require.NoError(t, err)
	assert.Equal(t, 130, p.code())
}

// A dumb terminal gets plain lines.
func TestDumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	p, _ := startOnPty(t, 100, 24, listen(t))
	assert.Zero(t, p.code())
	p.stderr.Await(t, "there after 1 attempt in ")
	assert.NotContains(t, p.stderr.String(), "\x1b")
}

func TestTerminalOf(t *testing.T) {
	t.Setenv("TERM", "xterm")
	_, slave := openPty(t, 100, 30)
	size := cli.TerminalOf(slave).Size
	require.NotNil(t, size)
	columns, rows := size()
	assert.Equal(t, []int{100, 30}, []int{columns, rows})

	_, unset := openPty(t, 0, 0)
	columns, rows = cli.TerminalOf(unset).Size()
	assert.Equal(t, []int{80, 24}, []int{columns, rows})

	t.Setenv("TERM", "dumb")
	assert.Nil(t, cli.TerminalOf(slave).Size)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	t.Setenv("TERM", "xterm")
	assert.Nil(t, cli.TerminalOf(null).Size, "a device, but no terminal")
}
