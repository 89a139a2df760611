//go:build !plan9

package redial

import "syscall"

const (
	wsaECONNREFUSED  syscall.Errno = 10061
	wsaEADDRNOTAVAIL syscall.Errno = 10049
)

// winsockClass has the error numbers of Windows Sockets ("Windows Sockets
// Error Codes", winsock2.h). No other system's errnos are that high, so they
// are known on all of them: what a peer on Windows, or a test, reports keeps
// its class. They stand as numbers, for package syscall names but four.
var winsockClass = map[syscall.Errno]Class{
	wsaECONNREFUSED: Refused,

	10054: Reset, // WSAECONNRESET
	10053: Reset, // WSAECONNABORTED
	10052: Reset, // WSAENETRESET
	10057: Reset, // WSAENOTCONN
	10058: Reset, // WSAESHUTDOWN
	10101: Reset, // WSAEDISCON

	10060: Timeout, // WSAETIMEDOUT

	10051: Unreachable, // WSAENETUNREACH
	10065: Unreachable, // WSAEHOSTUNREACH
	10050: Unreachable, // WSAENETDOWN
	10064: Unreachable, // WSAEHOSTDOWN

	10013: Denied, // WSAEACCES

	10024:            Exhausted, // WSAEMFILE
	10055:            Exhausted, // WSAENOBUFS: buffers, and the ports too
	wsaEADDRNOTAVAIL: Exhausted,
	10048:            Exhausted, // WSAEADDRINUSE
	10067:            Exhausted, // WSAEPROCLIM

	10047: Invalid, // WSAEAFNOSUPPORT
	10046: Invalid, // WSAEPFNOSUPPORT
	10041: Invalid, // WSAEPROTOTYPE
	10043: Invalid, // WSAEPROTONOSUPPORT
	10044: Invalid, // WSAESOCKTNOSUPPORT
	10045: Invalid, // WSAEOPNOTSUPP
	10042: Invalid, // WSAENOPROTOOPT
	10039: Invalid, // WSAEDESTADDRREQ
	10022: Invalid, // WSAEINVAL
	10014: Invalid, // WSAEFAULT
	10063: Invalid, // WSAENAMETOOLONG
	10062: Invalid, // WSAELOOP
}
