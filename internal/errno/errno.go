// Package errno translates an operating system's error into a [Condition], which is the same on
// every system. It knows POSIX's errnos, the error numbers of Windows Sockets and Win32, and the
// error strings of Plan 9.
//
// What a Condition means for a dial also depends on the system call and the address. The caller
// decides that.
package errno

import "strconv"

// A Condition is what an operating system reports in an error. The zero value is Unknown, for an
// error that has no other Condition.
type Condition uint8

// The conditions, each with its POSIX name. A condition that POSIX lacks has the name from its own system.
const (
	Unknown Condition = iota

	ConnectionRefused  // ECONNREFUSED
	ConnectionReset    // ECONNRESET
	ConnectionAborted  // ECONNABORTED
	NetworkReset       // ENETRESET
	BrokenPipe         // EPIPE
	NotConnected       // ENOTCONN
	ShutDown           // ESHUTDOWN
	GracefulDisconnect // WSAEDISCON

	TimedOut   // ETIMEDOUT
	WouldBlock // EAGAIN

	NetworkUnreachable  // ENETUNREACH
	HostUnreachable     // EHOSTUNREACH
	NetworkDown         // ENETDOWN
	HostDown            // EHOSTDOWN
	HostIsolated        // ENONET
	ProtocolUnreachable // ERROR_PROTOCOL_UNREACHABLE
	SourceRouteFailed   // Plan 9's; Linux says EOPNOTSUPP

	AccessDenied       // EACCES
	NotPermitted       // EPERM
	ReadOnlyFileSystem // EROFS
	NotCapable         // ENOTCAPABLE
	CapabilityMode     // ECAPMODE

	TooManyFiles         // EMFILE: the limit of the process
	TooManyFilesInSystem // ENFILE
	TooManyProcesses     // WSAEPROCLIM
	NoBuffers            // ENOBUFS
	NoMemory             // ENOMEM
	NoSpace              // ENOSPC
	QuotaExceeded        // EDQUOT
	NoFreeDevice         // Plan 9's: no conversation is left
	AddressInUse         // EADDRINUSE
	AddressNotAvailable  // EADDRNOTAVAIL

	FamilyNotSupported         // EAFNOSUPPORT
	ProtocolFamilyNotSupported // EPFNOSUPPORT
	SocketTypeNotSupported     // ESOCKTNOSUPPORT
	ProtocolNotSupported       // EPROTONOSUPPORT
	WrongProtocolType          // EPROTOTYPE
	NotSupported               // EOPNOTSUPP
	NotImplemented             // ENOSYS
	NoProtocolOption           // ENOPROTOOPT
	ProtocolError              // EPROTO
	AddressRequired            // EDESTADDRREQ
	InvalidArgument            // EINVAL
	BadPointer                 // EFAULT

	FileNotFound // ENOENT
	NotSocket    // ENOTSOCK
	NotDirectory // ENOTDIR
	NameTooLong  // ENAMETOOLONG
	LinkLoop     // ELOOP

	NoDevice          // ENODEV
	NoDeviceOrAddress // ENXIO

	// Reported by Windows' resolver.
	HostNotFound  // WSAHOST_NOT_FOUND
	TryAgain      // WSATRY_AGAIN: the name server failed
	NoRecovery    // WSANO_RECOVERY
	NoAddressData // WSANO_DATA: the name has no such record

	NumConditions
)

// A row has a Condition's name, and its errors on the systems that are not POSIX. The POSIX errnos
// are in errno_posix.go, because package syscall has only the errnos of the system that it is built
// for.
type row struct {
	name    string
	winsock uintptr   // 0 means none
	win32   []uintptr // the best known first
	plan9   []string  // the best known first
}

// table has everything but the POSIX errnos.
//
// Winsock's numbers are looked up on every system, because no errno of another system is as high.
// Win32's numbers are looked up on Windows only.
//
// The sources are winsock2.h, winerror.h, and Plan 9's intro(2), /sys/src/9/port/error.h and
// /sys/src/9/ip. The texts that end with "unreachable" are in icmp.c and icmp6.c in the last of
// these.
var table = [NumConditions]row{
	Unknown: {name: "unknown"},

	ConnectionRefused:  {"ECONNREFUSED", 10061, win32(1225, 1234), plan9("connection refused", "port unreachable")},
	ConnectionReset:    {"ECONNRESET", 10054, win32(64), plan9("i/o on hungup channel", "hungup channel")},
	ConnectionAborted:  {"ECONNABORTED", 10053, win32(1236), nil},
	NetworkReset:       {"ENETRESET", 10052, nil, nil},
	BrokenPipe:         {"EPIPE", 0, win32(109, 232, 233), nil},
	NotConnected:       {"ENOTCONN", 10057, win32(1229, 2250), nil},
	ShutDown:           {"ESHUTDOWN", 10058, nil, nil},
	GracefulDisconnect: {"WSAEDISCON", 10101, win32(1226), nil},

	TimedOut:   {"ETIMEDOUT", 10060, win32(1460, 121), plan9("connection timed out")},
	WouldBlock: {"EAGAIN", 0, nil, nil},

	NetworkUnreachable: {"ENETUNREACH", 10051, win32(1231),
		plan9("network unreachable", "net unreachable", "no route", "no route to destination")},
	HostUnreachable:     {"EHOSTUNREACH", 10065, win32(1232), plan9("host unreachable", "address unreachable")},
	NetworkDown:         {"ENETDOWN", 10050, win32(1222), nil},
	HostDown:            {"EHOSTDOWN", 10064, nil, nil},
	HostIsolated:        {"ENONET", 0, nil, nil},
	ProtocolUnreachable: {"ERROR_PROTOCOL_UNREACHABLE", 0, win32(1233), plan9("protocol unreachable")},
	SourceRouteFailed:   {"source route failed", 0, nil, plan9("source route failed")},

	// Plan 9's second text is Go's own, for EACCES.
	AccessDenied: {"EACCES", 10013, win32(5),
		plan9("permission denied", "access permission denied", "comm with destination administratively prohibited")},
	NotPermitted:       {"EPERM", 0, nil, nil},
	ReadOnlyFileSystem: {"EROFS", 0, nil, nil},
	NotCapable:         {"ENOTCAPABLE", 0, nil, nil},
	CapabilityMode:     {"ECAPMODE", 0, nil, nil},

	TooManyFiles:         {"EMFILE", 10024, win32(4), plan9("no free file descriptors")},
	TooManyFilesInSystem: {"ENFILE", 0, nil, nil},
	TooManyProcesses:     {"WSAEPROCLIM", 10067, nil, nil},
	NoBuffers:            {"ENOBUFS", 10055, win32(1450), nil}, // on Windows, also when the ports run out
	NoMemory:             {"ENOMEM", 0, win32(8, 14, 1455), plan9("kernel allocate failed", "virtual memory allocation failed")},
	NoSpace:              {"ENOSPC", 0, win32(112, 39), nil},
	QuotaExceeded:        {"EDQUOT", 10069, win32(1816), nil},
	NoFreeDevice:         {"no free devices", 0, nil, plan9("no free devices")},
	AddressInUse:         {"EADDRINUSE", 10048, nil, plan9("connection in use", "device or object already in use")},
	AddressNotAvailable:  {"EADDRNOTAVAIL", 10049, nil, plan9("network port not available")},

	FamilyNotSupported:         {"EAFNOSUPPORT", 10047, nil, plan9("address family not supported by protocol")}, // Go's own
	ProtocolFamilyNotSupported: {"EPFNOSUPPORT", 10046, nil, nil},
	SocketTypeNotSupported:     {"ESOCKTNOSUPPORT", 10044, nil, nil},
	ProtocolNotSupported:       {"EPROTONOSUPPORT", 10043, nil, nil},
	WrongProtocolType:          {"EPROTOTYPE", 10041, nil, nil},
	NotSupported:               {"EOPNOTSUPP", 10045, win32(50), plan9("not supported by plan 9")}, // Go's own
	NotImplemented:             {"ENOSYS", 0, win32(120), nil},
	NoProtocolOption:           {"ENOPROTOOPT", 10042, nil, nil},
	ProtocolError:              {"EPROTO", 0, nil, nil},
	AddressRequired:            {"EDESTADDRREQ", 10039, nil, nil},
	InvalidArgument: {"EINVAL", 10022, win32(87),
		plan9("bad arg in system call", "bad ip address syntax", "bad process or channel control request")},
	BadPointer: {"EFAULT", 10014, nil, nil},

	FileNotFound: {"ENOENT", 0, nil, plan9("file does not exist")},
	NotSocket:    {"ENOTSOCK", 10038, nil, nil},
	NotDirectory: {"ENOTDIR", 0, nil, plan9("not a directory")},
	NameTooLong:  {"ENAMETOOLONG", 10063, win32(206), plan9("file name too long", "name too long")},
	LinkLoop:     {"ELOOP", 10062, nil, nil},

	NoDevice:          {"ENODEV", 0, nil, nil},
	NoDeviceOrAddress: {"ENXIO", 0, nil, nil},

	HostNotFound:  {"WSAHOST_NOT_FOUND", 11001, win32(9003), nil},
	TryAgain:      {"WSATRY_AGAIN", 11002, win32(9002), nil},
	NoRecovery:    {"WSANO_RECOVERY", 11003, nil, nil},
	NoAddressData: {"WSANO_DATA", 11004, win32(9501), nil},
}

func win32(codes ...uintptr) []uintptr { return codes }
func plan9(texts ...string) []string   { return texts }

// String returns c's name in POSIX. If c has none, it returns c's name on the system that c comes
// from.
func (c Condition) String() string {
	if c < NumConditions {
		return table[c].name
	}
	return "Condition(" + strconv.Itoa(int(c)) + ")"
}

// ofWinsock, ofWin32 and ofPlan9 find the Condition of a number or a string in table.
var (
	ofWinsock = index(func(r row) []uintptr {
		if r.winsock == 0 {
			return nil
		}
		return []uintptr{r.winsock}
	})
	ofWin32 = index(func(r row) []uintptr { return r.win32 })
	ofPlan9 = index(func(r row) []string { return r.plan9 })
)

// index returns a map from the keys of each row to the row's Condition.
func index[K comparable](keys func(row) []K) map[K]Condition {
	conditions := map[K]Condition{}
	for c, r := range table {
		for _, key := range keys(r) {
			conditions[key] = Condition(c)
		}
	}
	return conditions
}

// ofNumber returns the Condition of a number that is not a POSIX errno.
func ofNumber(n uintptr, onWindows bool) Condition {
	if c, ok := ofWinsock[n]; ok {
		return c
	}
	if onWindows {
		return ofWin32[n]
	}
	return Unknown
}
