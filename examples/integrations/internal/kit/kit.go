// Package kit has what the tests of all clients share: real servers that a test starts,
// kills and starts again, and the outage that each client goes through.
package kit

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// InParallel makes up to 16 parallel tests run at once, because most of them only wait. By default as
// many run as there are CPUs. Call it from TestMain, before the tests run.
func InParallel() { flag.Set("test.parallel", "16") }

// requireVariable is the environment variable that makes a missing server a failure. CI sets it.
const requireVariable = "REDIAL_REQUIRE_SERVERS"

// Binary returns the path of a server's binary. Without the binary, it skips the test with the
// command that installs it, or fails if CI requires all servers. It also looks where Debian
// puts what is not in PATH; the name may be a pattern such as /usr/lib/postgresql/*/bin/postgres.
func Binary(t testing.TB, name, debianPackage string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{name, "/usr/sbin/" + name, "/usr/lib/*/" + name} {
		if paths, _ := filepath.Glob(pattern); len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	reason := fmt.Sprintf("%s is not installed: apt-get install --no-install-recommends %s", name, debianPackage)
	if os.Getenv(requireVariable) != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

// Dir returns a new directory that the user can write to, if the test runs as root; servers such
// as PostgreSQL refuse to run as root. The directory goes away with the test.
func Dir(t testing.TB, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redial-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if credential := credentialOf(t, owner); credential != nil {
		require.NoError(t, os.Chown(dir, int(credential.Uid), int(credential.Gid)))
	}
	return dir
}

// credentialOf returns the credential of a user to run a process as, or nil if it is to
// run as the test does.
func credentialOf(t testing.TB, name string) *syscall.Credential {
	t.Helper()
	if name == "" || os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Run runs a command to its end, as the user if the test runs as root. It fails the test
// if the command fails.
func Run(t testing.TB, owner, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credentialOf(t, owner)}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// A Server is a server's process, which a test starts and kills.
type Server struct {
	// Path and Args are the command. The process must stay in the foreground.
	Path string
	Args []string
	Env  []string // added to the test's own
	Dir  string
	User string // to run as, if the test runs as root; empty: root
	// Ready returns nil once the server serves requests, not only once it accepts.
	Ready func(ctx context.Context) error

	cmd    *exec.Cmd
	exited chan struct{}
	output *testutil.Output
}

// patience is how long a server may take to become ready on a busy machine.
const patience = 2 * time.Minute

// Start starts the process and waits until it is ready. The process is killed when t ends. Start
// fails the test if the server exits or does not become ready.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.Launch(t)
	s.Await(t)
}

// Launch starts the process without waiting for it to be ready.
func (s *Server) Launch(t testing.TB) {
	t.Helper()
	s.output = new(testutil.Output)
	s.cmd = exec.Command(s.Path, s.Args...)
	s.cmd.Env = append(os.Environ(), s.Env...)
	s.cmd.Dir = s.Dir
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.WaitDelay = time.Second // a child that outlives the server may keep the pipe
	// A group of its own, so that Kill reaches the server's children too.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credentialOf(t, s.User)}
	require.NoError(t, s.cmd.Start())
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(s.Kill)
}

// LaunchAfter launches the server when the delay is over, unless t has ended by then.
func (s *Server) LaunchAfter(t testing.TB, delay time.Duration) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-time.After(delay):
			s.Launch(t)
		case <-ended:
		}
	}()
	t.Cleanup(func() {
		close(ended)
		<-done
	})
}

// Await waits until the server is ready.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return s.Ready(ctx)
		}()
		if err == nil {
			return
		}
		select {
		case <-s.exited:
			require.FailNow(t, "the server has exited", "%s: %v\n%s", s.Path, s.cmd.ProcessState, s.output)
		case <-ctx.Done():
			require.FailNow(t, "the server did not become ready", "%s: %v\n%s", s.Path, err, s.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill kills the server and its children with SIGKILL, and waits until the server is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	select {
	case <-s.exited: // the process id may be another's by now
		return
	default:
	}
	pid := s.cmd.Process.Pid
	syscall.Kill(pid, syscall.SIGSTOP) // it starts no more children
	children := descendants(pid)
	syscall.Kill(-pid, syscall.SIGKILL)
	for _, child := range children {
		syscall.Kill(child, syscall.SIGKILL)
	}
	<-s.exited
}

// descendants returns the process ids of the children of pid, and of theirs. It also finds those that
// have left the server's process group, as the children of sshd and PostgreSQL do.
func descendants(pid int) []int {
	var all []int
	for todo := []int{pid}; len(todo) > 0; {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", todo[0]))
		todo = todo[1:]
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for _, field := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					all, todo = append(all, child), append(todo, child)
				}
			}
		}
	}
	return all
}

// Connects counts the connects of a net.Dialer, or of a redial.Dialer's embedded one, whether or
// not they succeed. Its method Control goes into the field of that name.
type Connects struct{ n atomic.Int64 }

// Control counts one connect.
func (c *Connects) Control(_, _ string, _ syscall.RawConn) error {
	c.n.Add(1)
	return nil
}

// Count returns the number of connects so far.
func (c *Connects) Count() int { return int(c.n.Load()) }

// A Contender is a client that goes through an outage beside another. Do is one operation of the
// program.
type Contender struct {
	Name string
	Do   func(ctx context.Context) error
	// PerOp is the time that the program gives to one operation. Zero means 5 s.
	PerOp time.Duration

	Operations, Failed atomic.Int64
	mu                 sync.Mutex
	errors             map[string]int // the texts of the failures, for the log
	slowest            time.Duration
}

// The outage: the contenders work for a second, then the server is dead for 1.5 s, then they work
// for two more seconds. Each has ten goroutines.
const (
	workers    = 10
	before     = time.Second
	down       = 1500 * time.Millisecond
	afterwards = 2 * time.Second
	perOp      = 5 * time.Second      // Contender.PerOp
	pause      = 5 * time.Millisecond // between two operations of a goroutine
)

// Outage kills the server with SIGKILL and starts it again, while ten goroutines of each contender
// work through the same outage. It logs how many operations failed.
func Outage(t *testing.T, server *Server, contenders ...*Contender) {
	t.Helper()
	Through(t, func() {
		server.Kill()
		time.Sleep(down)
		server.Start(t)
	}, contenders...)
}

// Through is Outage for any kind of trouble, which lasts until it returns.
func Through(t *testing.T, trouble func(), contenders ...*Contender) {
	t.Helper()
	var working sync.WaitGroup
	stop := make(chan struct{})
	for _, c := range contenders {
		c.errors = map[string]int{}
		for range workers {
			working.Go(func() { c.work(t.Context(), stop) })
		}
	}
	time.Sleep(before)
	trouble()
	time.Sleep(afterwards)
	close(stop)
	working.Wait()
	for _, c := range contenders {
		t.Logf("outage: %s: %d of %d operations failed, the slowest took %v",
			c.Name, c.Failed.Load(), c.Operations.Load(), c.Slowest().Round(time.Millisecond))
		for text, n := range c.errors {
			t.Logf("  %d times: %.300s", n, text)
		}
		require.NotZero(t, c.Operations.Load(), "%s has done nothing", c.Name)
	}
}

func (c *Contender) work(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		start := time.Now()
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.PerOp, perOp))
			defer cancel()
			return c.Do(ctx)
		}()
		took := time.Since(start)
		c.Operations.Add(1)
		c.mu.Lock()
		c.slowest = max(c.slowest, took)
		if err != nil {
			c.Failed.Add(1)
			c.errors[err.Error()]++
		}
		c.mu.Unlock()
	}
}

// Slowest returns how long the slowest operation took, failed or not.
func (c *Contender) Slowest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slowest
}

// Attempts records what a Dialer's OnAttempt is called with.
type Attempts struct {
	mu  sync.Mutex
	all []redial.Attempt
}

// Add records one attempt. It goes into the field OnAttempt.
func (a *Attempts) Add(_ context.Context, attempt redial.Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, attempt)
}

// All returns the attempts so far.
func (a *Attempts) All() []redial.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]redial.Attempt(nil), a.all...)
}

// FreeAddress returns a loopback address that nothing listens on for now. Its port is not one of
// those that systems pick for outgoing connections, because a server that starts later could not
// listen on it then.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if ln, err := net.Listen("tcp", address); err == nil {
			ln.Close()
			return address
		}
	}
	require.FailNow(t, "no port is free")
	return ""
}
