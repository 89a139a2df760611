package errno

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// every yields all conditions but Unknown.
func every(yield func(Condition) bool) {
	for c := Unknown + 1; c < NumConditions; c++ {
		if !yield(c) {
			return
		}
	}
}

func TestString(t *testing.T) {
	names := map[string]Condition{}
	for c := range every {
		name := c.String()
		assert.NotEmpty(t, name, "%d", c)
		assert.NotContains(t, names, name, "%d", c)
		names[name] = c
	}
	assert.Equal(t, "unknown", Unknown.String())
	assert.Equal(t, "ECONNREFUSED", ConnectionRefused.String())
	assert.Equal(t, fmt.Sprintf("Condition(%d)", NumConditions), NumConditions.String())
}

// No number and no string stands for two conditions.
func TestNoneTwice(t *testing.T) {
	var winsock, win32, plan9 int
	for _, r := range table {
		if r.winsock != 0 {
			winsock++
		}
		win32 += len(r.win32)
		plan9 += len(r.plan9)
	}
	assert.Len(t, ofWinsock, winsock)
	assert.Len(t, ofWin32, win32)
	assert.Len(t, ofPlan9, plan9)
}

// Of returns the Condition that Err or Winsock made the error from.
func TestOf(t *testing.T) {
	for c := range every {
		if err := c.Err(); err != nil {
			assert.Equal(t, c, Of(err), "%v: %v", c, err)
		}
		if err := c.Winsock(); err != nil {
			assert.Equal(t, c, Of(err), "%v: %v", c, err)
		}
	}
	assert.Equal(t, ConnectionRefused, Of(ConnectionRefused.Err()))
	assert.Equal(t, Unknown, Of(nil))
	assert.Equal(t, Unknown, Of(errors.New("connection refused")))
	assert.Equal(t, Unknown, Of(os.NewSyscallError("connect", ConnectionRefused.Err())), "Of does not unwrap")
	for _, c := range []Condition{Unknown, NumConditions} {
		assert.NoError(t, c.Err())
		assert.NoError(t, c.Winsock())
	}
}

func TestWinsock(t *testing.T) {
	for n, want := range map[uintptr]Condition{
		10013: AccessDenied, 10014: BadPointer, 10022: InvalidArgument, 10024: TooManyFiles, 10038: NotSocket,
		10039: AddressRequired, 10041: WrongProtocolType, 10042: NoProtocolOption, 10043: ProtocolNotSupported,
		10044: SocketTypeNotSupported, 10045: NotSupported, 10046: ProtocolFamilyNotSupported, 10047: FamilyNotSupported,
		10048: AddressInUse, 10049: AddressNotAvailable, 10050: NetworkDown, 10051: NetworkUnreachable, 10052: NetworkReset,
		10053: ConnectionAborted, 10054: ConnectionReset, 10055: NoBuffers, 10057: NotConnected, 10058: ShutDown,
		10060: TimedOut, 10061: ConnectionRefused, 10062: LinkLoop, 10063: NameTooLong, 10064: HostDown,
		10065: HostUnreachable, 10067: TooManyProcesses, 10069: QuotaExceeded, 10101: GracefulDisconnect,
		11001: HostNotFound, 11002: TryAgain, 11003: NoRecovery, 11004: NoAddressData,
		10035: Unknown, // WSAEWOULDBLOCK
	} {
		assert.Equal(t, want, ofNumber(n, false), "%d", n)
		assert.Equal(t, want, ofNumber(n, true), "%d", n)
	}
}

func TestWin32(t *testing.T) {
	for n, want := range map[uintptr]Condition{
		4: TooManyFiles, 5: AccessDenied, 8: NoMemory, 14: NoMemory, 39: NoSpace, 50: NotSupported, 64: ConnectionReset,
		87: InvalidArgument, 109: BrokenPipe, 112: NoSpace, 120: NotImplemented, 121: TimedOut, 206: NameTooLong,
		232: BrokenPipe, 233: BrokenPipe, 1222: NetworkDown, 1225: ConnectionRefused, 1226: GracefulDisconnect,
		1229: NotConnected, 1231: NetworkUnreachable, 1232: HostUnreachable, 1233: ProtocolUnreachable,
		1234: ConnectionRefused, 1236: ConnectionAborted, 1450: NoBuffers, 1455: NoMemory, 1460: TimedOut,
		1816: QuotaExceeded, 2250: NotConnected, 9002: TryAgain, 9003: HostNotFound, 9501: NoAddressData,
		995: Unknown, // ERROR_OPERATION_ABORTED
	} {
		assert.Equal(t, want, ofNumber(n, true), "%d", n)
		assert.Equal(t, Unknown, ofNumber(n, false), "%d is another errno elsewhere", n)
	}
}

func TestPlan9(t *testing.T) {
	for text, want := range map[string]Condition{
		"connection refused":    ConnectionRefused,
		"port unreachable":      ConnectionRefused,
		"i/o on hungup channel": ConnectionReset,
		"connection timed out":  TimedOut,
		"no route":              NetworkUnreachable,
		"network unreachable":   NetworkUnreachable,
		"host unreachable":      HostUnreachable,
		"protocol unreachable":  ProtocolUnreachable,
		"source route failed":   SourceRouteFailed,
		"permission denied":     AccessDenied,
		"comm with destination administratively prohibited": AccessDenied,
		"no free file descriptors":                          TooManyFiles,
		"no free devices":                                   NoFreeDevice,
		"kernel allocate failed":                            NoMemory,
		"network port not available":                        AddressNotAvailable,
		"connection in use":                                 AddressInUse,
		"device or object already in use":                   AddressInUse,
		"bad ip address syntax":                             InvalidArgument,
		"dial: connection refused":                          Unknown, // must match as a whole
		"the front fell off":                                Unknown,
		"":                                                  Unknown,
	} {
		assert.Equal(t, want, ofPlan9[text], text)
	}
}

// systems are the systems that continuous integration builds for. Each comes with the POSIX errnos
// that package syscall does not name there.
var systems = map[string][]string{
	"linux/amd64":     {"ECAPMODE", "ENOTCAPABLE"},
	"linux/386":       {"ECAPMODE", "ENOTCAPABLE"},
	"darwin/arm64":    {"ECAPMODE", "ENONET", "ENOTCAPABLE"},
	"freebsd/amd64":   {"ENONET"},
	"openbsd/amd64":   {"ECAPMODE", "ENONET", "ENOTCAPABLE"},
	"netbsd/amd64":    {"ECAPMODE", "ENONET", "ENOTCAPABLE"},
	"dragonfly/amd64": {"ECAPMODE", "ENONET", "ENOTCAPABLE"},
	"solaris/amd64":   {"ECAPMODE", "ENOTCAPABLE"},
	"windows/amd64":   {"ECAPMODE", "ENOTCAPABLE"},
	"js/wasm":         {"ECAPMODE", "ENOTCAPABLE"},
	"wasip1/wasm":     {"ECAPMODE", "EHOSTDOWN", "ENONET", "EPFNOSUPPORT", "ESHUTDOWN", "ESOCKTNOSUPPORT"},
}

// On every system, the errno of each Condition has the Condition's name, and no errno that package
// syscall names is missing. The files for other systems can't run here, so the test parses them.
func TestEverySystem(t *testing.T) {
	identifiers := conditionIdentifiers(t)
	require.Len(t, identifiers, int(NumConditions))
	for system, lacks := range systems {
		t.Run(system, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(system, "/")
			has := map[string]bool{}
			for _, file := range parseFor(t, goos, goarch, ".") {
				for name, condition := range entries(file) {
					c := Condition(slices.Index(identifiers, condition))
					require.Less(t, c, NumConditions, condition)
					assert.Equal(t, c.String(), name, condition)
					assert.False(t, has[name], "%s has two entries", name)
					has[name] = true
				}
			}
			var missing []string
			for c := range every {
				if name := c.String(); isPOSIX(name) && !has[name] {
					missing = append(missing, name)
				}
			}
			slices.Sort(missing)
			assert.Equal(t, lacks, missing)
			syscallDir := filepath.Join(build.Default.GOROOT, "src", "syscall")
			if _, err := os.Stat(syscallDir); err != nil {
				t.Skip("the source of package syscall is not installed")
			}
			for _, file := range parseFor(t, goos, goarch, syscallDir) {
				for _, name := range constants(file) {
					assert.NotContains(t, missing, name, "package syscall has this errno")
				}
			}
		})
	}
	if system := runtime.GOOS + "/" + runtime.GOARCH; systems[system] != nil {
		for c := range every {
			name := c.String()
			has := isPOSIX(name) && !slices.Contains(systems[system], name)
			if runtime.GOOS == "windows" {
				has = has || c.Winsock() != nil
			}
			assert.Equal(t, has, c.Err() != nil, name)
		}
	}
}

// isPOSIX reports whether name is the name of an errno, rather than of a number or string of
// Windows or Plan 9.
func isPOSIX(name string) bool {
	return strings.HasPrefix(name, "E") && !strings.HasPrefix(name, "ERROR_")
}

// parseFor parses the files of the package in dir that are built for goos and goarch.
func parseFor(t *testing.T, goos, goarch, dir string) (files []*ast.File) {
	t.Helper()
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = goos, goarch, false
	pkg, err := context.ImportDir(dir, 0)
	require.NoError(t, err)
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// conditionIdentifiers returns the names of the Condition constants, in the order of their values.
func conditionIdentifiers(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), "errno.go", nil, 0)
	require.NoError(t, err)
	names := constants(file)
	return names[:len(names)-1] // without NumConditions
}

// constants returns the names of the constants that a file declares.
func constants(file *ast.File) (names []string) {
	for _, decl := range file.Decls {
		if decl, ok := decl.(*ast.GenDecl); ok && decl.Tok == token.CONST {
			for _, spec := range decl.Specs {
				names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	return names
}

// entries returns what a file adds to posix: a map from the name of each errno to the identifier of
// its Condition.
func entries(file *ast.File) map[string]string {
	found := map[string]string{}
	note := func(key, value ast.Expr) {
		name, ok := key.(*ast.SelectorExpr)
		condition, alsoOK := value.(*ast.Ident)
		if ok && alsoOK {
			found[name.Sel.Name] = condition.Name
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			note(n.Key, n.Value)
		case *ast.AssignStmt:
			if at, ok := n.Lhs[0].(*ast.IndexExpr); ok {
				note(at.Index, n.Rhs[0])
			}
		}
		return true
	})
	return found
}

// The files built for Plan 9 have no errnos, because its errors are strings.
func TestPlan9Files(t *testing.T) {
	for _, file := range parseFor(t, "plan9", "amd64", ".") {
		assert.Empty(t, slices.Collect(maps.Keys(entries(file))))
	}
}
