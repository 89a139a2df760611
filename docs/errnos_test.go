//go:build !plan9 && !wasip1

package docs_test

import (
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// TestErrorsPageMatchesClassify compares the table of classes in docs/errors.md with Classify: each errno, each number of Winsock, and
// what is retried: the first five.
func TestErrorsPageMatchesClassify(t *testing.T) {
	inClone(t)
	text, err := fs.ReadFile(root, "docs/errors.md")
	require.NoError(t, err)
	before, table, ok := strings.Cut(string(text), "| class | errno | also |\n")
	require.True(t, ok)
	assert.Contains(t, before, "The first five are retried by default.")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[1:]
	require.Len(t, rows, len(classes()), "one for each class")
	errnos := 0
	for i, row := range rows {
		cells := strings.Split(row, "|")
		require.Len(t, cells, 5, row)
		var class redial.Class
		require.NoError(t, class.UnmarshalText([]byte(strings.Trim(cells[1], " `"))))
		_, retried := redial.DefaultPolicy()[class]
		assert.Equal(t, i < 5, retried, row)
		for _, found := range regexp.MustCompile(`[A-Z]{4,}|\d{5}`).FindAllString(cells[2], -1) {
			number, err := strconv.Atoi(found)
			errno := syscall.Errno(number)
			if err != nil {
				errno, ok = errnosByName[found]
				require.True(t, ok, "errnosByName lacks %s", found)
			}
			errnos++
			connect := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
			assert.Equal(t, class, redial.Classify(connect), "%s (%v)", found, errno)
		}
	}
	assert.Greater(t, errnos, 30)
}

// classes returns all classes.
func classes() (all []redial.Class) {
	for class := redial.Unknown; ; class++ {
		if _, err := class.MarshalText(); err != nil {
			return all
		}
		all = append(all, class)
	}
}

// The first page says of each class whether it is retried, and redialprom's names them all.
func TestPagesNameEveryClass(t *testing.T) {
	inClone(t)
	readme, err := fs.ReadFile(root, "README.md")
	require.NoError(t, err)
	metrics, err := fs.ReadFile(root, "redialprom/README.md")
	require.NoError(t, err)
	for _, class := range classes() {
		retried := "(no|never)"
		if redial.DefaultPolicy()[class] != nil {
			retried = "yes"
		}
		assert.Regexp(t, "(?m)^\\| `"+class.String()+"` \\|.*\\| "+retried+" \\|$", string(readme))
		assert.Contains(t, string(metrics), "`"+class.String()+"`")
	}
}

var errnosByName = map[string]syscall.Errno{
	"EACCES": syscall.EACCES, "EADDRINUSE": syscall.EADDRINUSE, "EADDRNOTAVAIL": syscall.EADDRNOTAVAIL,
	"EAFNOSUPPORT": syscall.EAFNOSUPPORT, "ECONNABORTED": syscall.ECONNABORTED, "ECONNREFUSED": syscall.ECONNREFUSED,
	"ECONNRESET": syscall.ECONNRESET, "EHOSTDOWN": syscall.EHOSTDOWN, "EHOSTUNREACH": syscall.EHOSTUNREACH,
	"EINVAL": syscall.EINVAL, "EMFILE": syscall.EMFILE, "ENETDOWN": syscall.ENETDOWN, "ENETUNREACH": syscall.ENETUNREACH,
	"ENFILE": syscall.ENFILE, "ENOBUFS": syscall.ENOBUFS, "ENOMEM": syscall.ENOMEM, "ENOTCONN": syscall.ENOTCONN,
	"EPERM": syscall.EPERM, "EPIPE": syscall.EPIPE, "EPROTOTYPE": syscall.EPROTOTYPE, "ETIMEDOUT": syscall.ETIMEDOUT,
}
