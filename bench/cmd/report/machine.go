//go:build unix

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-33f8b841/redial/bench"
)

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// allocations returns the bytes and the number of the objects that f allocates.
func allocations(f func()) (bytes, number float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc), float64(after.Mallocs - before.Mallocs)
}

// load returns the load of the machine over the last minute, or "unknown".
func load() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(content), " ")
	return first
}

// header returns the head of RESULTS.md: the machine, the rounds and the versions.
func header(rounds int, begin time.Time, loads []string, s scope) string {
	var b strings.Builder
	b.WriteString("# Results\n\n")
	b.WriteString("This file is written by `go run ./cmd/report` in this directory. Do not edit it.\n\n")
	if s.small {
		b.WriteString("**These are small numbers, which only show that the report works (-small).**\n\n")
	}
	fmt.Fprintf(&b, "%s, %d CPUs, %s/%s, %s, on %s. %d rounds in %v. The load of the machine (1 min) before each round and at the end: %s.\n\n",
		cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), begin.Format("2 January 2006"),
		rounds, time.Since(begin).Round(time.Second), strings.Join(loads, ", "))
	b.WriteString("Each round makes the measurements, some of them only in the first rounds. Within a measurement the libraries take turns. A cell has the median of the rounds. " +
		"Behind it is the ratio to the row that has no ratio (less is better): the median of the rounds' ratios, with the smallest and the largest in brackets.\n\n")
	b.WriteString("| | version | by default |\n|---|---|---|\n")
	versions := versions()
	for _, d := range bench.Dialers {
		version := "this repository"
		if strings.HasPrefix(d.Name, "net.") {
			version = runtime.Version()
		} else if d.Module != "" {
			version = cmp.Or(versions[d.Module], "unknown")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", d.Name, version, d.Default)
	}
	fmt.Fprintf(&b, "| go-retryablehttp | %s | 1 s doubling to 30 s, 5 attempts |\n", cmp.Or(versions["github.com/hashicorp/go-retryablehttp"], "unknown"))
	for _, k := range bench.Keepers {
		if !slices.ContainsFunc(bench.Dialers, func(d bench.Dialer) bool { return d.Module == k.Module }) {
			fmt.Fprintf(&b, "| %s | %s | wait after a connection that broke: %s |\n", k.Name, cmp.Or(versions[k.Module], "unknown"), k.Wait)
		}
	}
	b.WriteString("\n")
	b.WriteString("`backoff` is cenkalti's, `retry-go` avast's, `go-retry` sethvargo's. Each is put around a `net.Dialer` with a `Timeout` of 10 s, " +
		"which is redial's default. \"failsafe-go, backoff\" has the backoff of failsafe-go's own examples, because failsafe-go has none by default.\n")
	return b.String()
}

// versions returns the versions of the modules that this program is built from.
func versions() map[string]string {
	all := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			all[dep.Path] = dep.Version
		}
	}
	return all
}

func cpuModel() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(content)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown CPU"
}

// The server runs in a process of its own, so that its allocations are not counted.
const serveCommand = "serve"

var serverPort, webPort string // of the server's two listeners: one that drops connections, and HTTP

// serve serves until its standard input ends.
func serve() int {
	drop, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	_, dropPort, _ := net.SplitHostPort(drop.Addr().String())
	_, port, _ := net.SplitHostPort(web.Addr().String())
	fmt.Println(dropPort, port)
	go acceptAll(drop)
	go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// acceptAll closes every connection that ln accepts.
func acceptAll(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

func startServer() (stop func(), err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, serveCommand)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, err
	}
	_, err = fmt.Sscan(line, &serverPort, &webPort)
	return func() { stdin.Close(); cmd.Wait() }, err
}

// A lab is a testing.TB outside of a test, so that the report can use the helpers of tests. Where a
// helper fails or skips its test, the lab panics, and try returns why.
type lab struct {
	testing.TB
	cleanups []func()
}

type labFailure struct {
	message string
	skipped bool
}

func (l *lab) Name() string                   { return "report" }
func (l *lab) Helper()                        {}
func (l *lab) Cleanup(f func())               { l.cleanups = append(l.cleanups, f) }
func (l *lab) Errorf(format string, a ...any) { panic(labFailure{fmt.Sprintf(format, a...), false}) }
func (l *lab) FailNow()                       { panic(labFailure{"failed", false}) }
func (l *lab) Skip(a ...any)                  { panic(labFailure{fmt.Sprint(a...), true}) }
func (l *lab) Skipf(format string, a ...any)  { panic(labFailure{fmt.Sprintf(format, a...), true}) }

// try calls f. It returns why f was skipped, if it was, or the error of f.
func try(f func(l *lab) error) (skipped string, err error) {
	l := new(lab)
	defer func() {
		for _, cleanup := range slices.Backward(l.cleanups) {
			cleanup()
		}
		switch failure := recover().(type) {
		case nil:
		case labFailure:
			if failure.skipped {
				skipped = failure.message
			} else {
				err = fmt.Errorf("%s", strings.TrimSpace(failure.message))
			}
		default:
			panic(failure)
		}
	}()
	return "", f(l)
}

// A deadPort is bound by a socket that does not listen, so the kernel refuses connections to it,
// and nobody else can take it.
type deadPort struct {
	fd      int
	address string
}

func newDeadPort() (*deadPort, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	return &deadPort{fd, fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)}, nil
}

// listen lets the port accept connections.
func (p *deadPort) listen() (net.Listener, error) {
	if err := syscall.Listen(p.fd, 4096); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(p.fd), "listener")
	defer file.Close()
	return net.FileListener(file)
}

func (p *deadPort) close() { syscall.Close(p.fd) }
