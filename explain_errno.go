//go:build !plan9

package redial

import "syscall"

// troubleOf tells which of the troubles an errno is.
func troubleOf(err error) trouble {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return otherTrouble
	}
	return troubleOfErrno[errno]
}

// troubleOfErrno has the numbers of POSIX and those of Windows Sockets (see
// winsockClass), of which the latter are known on every system.
var troubleOfErrno = map[syscall.Errno]trouble{
	syscall.ECONNREFUSED:  nothingAccepts,
	wsaECONNREFUSED:       nothingAccepts,
	syscall.ENOENT:        noSuchFile,
	syscall.EAGAIN:        queueFull,
	syscall.ENETUNREACH:   noRoute,
	10051:                 noRoute,
	syscall.EHOSTUNREACH:  noHost,
	10065:                 noHost,
	syscall.ENETDOWN:      linkDown,
	10050:                 linkDown,
	syscall.EACCES:        noAccess,
	10013:                 noAccess,
	syscall.EPERM:         notPermitted,
	syscall.EMFILE:        processDescriptors,
	10024:                 processDescriptors,
	syscall.ENFILE:        systemDescriptors,
	syscall.ENOBUFS:       noMemory,
	10055:                 noMemory,
	syscall.ENOMEM:        noMemory,
	syscall.EADDRNOTAVAIL: noLocalAddress,
	wsaEADDRNOTAVAIL:      noLocalAddress,
	syscall.EADDRINUSE:    addressInUse,
	10048:                 addressInUse,
	syscall.EAFNOSUPPORT:  noSuchFamily,
	10047:                 noSuchFamily,
	syscall.EPROTOTYPE:    wrongSocketType,
	10041:                 wrongSocketType,
	syscall.EINVAL:        badArgument,
	10022:                 badArgument,
	syscall.ENAMETOOLONG:  badPath,
	syscall.ENOTDIR:       badPath,
	syscall.ELOOP:         badPath,
}
