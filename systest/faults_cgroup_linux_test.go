package systest_test

// This fault is a cgroup that forbids connects by a program of bpf(2), as systemd's and Kubernetes'
// network policies do. The other limits of a cgroup do not make dials fail: without memory the
// kernel ends the process, and without another thread Go's runtime does.

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// sysBPF has the number of bpf(2), which package syscall does not know.
var sysBPF = map[string]uintptr{"amd64": 321, "arm64": 280, "riscv64": 280, "loong64": 280, "ppc64le": 361, "s390x": 351}[runtime.GOARCH]

// These are from linux/bpf.h.
const (
	bpfLoad        = 5  // BPF_PROG_LOAD
	bpfAttach      = 8  // BPF_PROG_ATTACH
	bpfDetach      = 9  // BPF_PROG_DETACH
	bpfSockAddr    = 18 // BPF_PROG_TYPE_CGROUP_SOCK_ADDR
	bpfConnectIPv4 = 10 // BPF_CGROUP_INET4_CONNECT
	bpfConnectIPv6 = 11 // BPF_CGROUP_INET6_CONNECT
)

// bpf calls bpf(2) with the start of a union bpf_attr.
func bpf[A any](command uintptr, attr *A) (fd int, err error) {
	r, _, errno := syscall.Syscall(sysBPF, command, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, os.NewSyscallError("bpf", errno)
	}
	return int(r), nil
}

var cgroupFaults = []fault{
	{class: redial.Denied, cause: "cgroup forbids connects", errno: syscall.EPERM,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			hook := uint32(bpfConnectIPv4)
			if d.ip.Is6() {
				hook = bpfConnectIPv6
			}
			return forbid(t, hook)
		}},
}

// forbid makes the hook return EPERM to this process, which moves to a new cgroup of its own.
func forbid(t *testing.T, hook uint32) (mend func()) {
	t.Helper()
	if sysBPF == 0 {
		t.Skip("the number of bpf(2) on " + runtime.GOARCH + " is not known here")
	}
	cgroup := newCgroup(t)
	instructions := [2]uint64{0xb7, 0x95} // r0 = 0; exit: zero means EPERM
	license := [1]byte{}
	load := struct {
		kind, count           uint32
		instructions, license unsafe.Pointer
		logLevel, logSize     uint32
		log                   uint64
		version, flags        uint32
		name                  [16]byte
		device, hook          uint32
	}{kind: bpfSockAddr, count: uint32(len(instructions)), instructions: unsafe.Pointer(&instructions), license: unsafe.Pointer(&license), hook: hook}
	program, err := bpf(bpfLoad, &load)
	if err != nil {
		t.Skipf("this kernel has no programs for cgroups: %v", err)
	}
	t.Cleanup(func() { syscall.Close(program) })
	attach := struct{ cgroup, program, hook, flags uint32 }{uint32(cgroup.Fd()), uint32(program), hook, 0}
	_, err = bpf(bpfAttach, &attach)
	require.NoError(t, err)
	return func() {
		_, err := bpf(bpfDetach, &attach)
		require.NoError(t, err)
	}
}

// newCgroup moves this process to a new cgroup, until t ends.
func newCgroup(t *testing.T) *os.File {
	t.Helper()
	root := cgroupRoot(t)
	path, err := os.MkdirTemp(root, "redial-test")
	if err != nil {
		t.Skipf("this machine does not let the test create a cgroup: %v", err)
	}
	before := filepath.Join(root, ownCgroup(t))
	t.Cleanup(func() {
		require.NoError(t, moveTo(before))
		require.NoError(t, os.Remove(path))
	})
	if err := moveTo(path); err != nil {
		t.Skipf("this machine does not let the test use a cgroup: %v", err)
	}
	dir, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Close() })
	return dir
}

// cgroupRoot returns where the unified hierarchy of cgroups is mounted.
func cgroupRoot(t *testing.T) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1]
		}
	}
	t.Skip("this machine has no unified hierarchy of cgroups")
	return ""
}

// ownCgroup returns the cgroup of this process, below the root.
func ownCgroup(t *testing.T) string {
	own, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	return "/"
}

func moveTo(cgroup string) error {
	return os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0)
}

func TestFaultCgroup(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) { testHostFaults(t, cgroupFaults, func(*testing.T) {}) })
}
