//go:build !plan9 && !windows

package dialtest_test

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/dialtest"
)

// Each outcome has the right errno. Some of these errnos no test here can get from a kernel.
func TestErrno(t *testing.T) {
	errnos := map[string]syscall.Errno{
		"Refuse": syscall.ECONNREFUSED, "NoSocket": syscall.ENOENT, "Reset": syscall.ECONNRESET, "Timeout": syscall.ETIMEDOUT,
		"NoRoute": syscall.EHOSTUNREACH, "NoNetwork": syscall.ENETUNREACH, "Deny": syscall.EACCES,
		"NoDescriptors": syscall.EMFILE, "NoPorts": syscall.EADDRNOTAVAIL, "NoFamily": syscall.EAFNOSUPPORT,
	}
	for _, test := range outcomes {
		if test.call == "" {
			continue
		}
		err := dial(test.outcome.After(0), "tcp", "192.0.2.7:5432")
		assert.Equal(t, &net.OpError{
			Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5432},
			Err: &os.SyscallError{Syscall: test.call, Err: errnos[test.name]},
		}, err, test.name)
	}
}

func TestErrnoOfWriteToClosed(t *testing.T) {
	conn, err := dialtest.Script(dialtest.HangUp).DialContext(t.Context(), "tcp", "db:5432")
	assert.NoError(t, err)
	_, err = conn.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE)
}
