//go:build !plan9

package dialtest

import (
	"os"
	"strings"
	"syscall"
)

// winsockErrnos are the numbers of Windows Sockets ("Windows Sockets Error
// Codes", winsock2.h), of which package syscall names but four. A unix socket
// that is not there is refused.
var winsockErrnos = [numKinds]syscall.Errno{
	refuse:        10061, // WSAECONNREFUSED
	noSocket:      10061, // WSAECONNREFUSED
	reset:         10054, // WSAECONNRESET
	timeout:       10060, // WSAETIMEDOUT
	noRoute:       10065, // WSAEHOSTUNREACH
	noNetwork:     10051, // WSAENETUNREACH
	deny:          10013, // WSAEACCES
	noDescriptors: 10024, // WSAEMFILE
	noPorts:       10049, // WSAEADDRNOTAVAIL
	noFamily:      10047, // WSAEAFNOSUPPORT
}

// winsockError is the error that package net has of Windows for k. Only TCP
// connects by ConnectEx there.
func winsockError(k kind, network string) error {
	call := kinds[k].call
	if call == "connect" && strings.HasPrefix(network, "tcp") {
		call = "connectex"
	}
	return os.NewSyscallError(call, winsockErrnos[k])
}

// tryAgain is the text of a DNSError for a name server that failed: that of
// WSATRY_AGAIN.
var tryAgain = os.NewSyscallError("getaddrinfow", syscall.Errno(11002)).Error()
