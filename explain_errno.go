package redial

import "github.com/seed-33f8b841/redial/internal/errno"

// troubleOf returns the trouble that err itself is, whatever it wraps.
func troubleOf(err error) trouble { return troubles[errno.Of(err)] }

var troubles = [errno.NumConditions]trouble{
	errno.ConnectionRefused:    nothingAccepts,
	errno.FileNotFound:         noSuchFile,
	errno.WouldBlock:           queueFull,
	errno.NetworkUnreachable:   noRoute,
	errno.HostUnreachable:      noHost,
	errno.NetworkDown:          linkDown,
	errno.AccessDenied:         noAccess,
	errno.NotPermitted:         notPermitted,
	errno.TooManyFiles:         processDescriptors,
	errno.TooManyFilesInSystem: systemDescriptors,
	errno.NoBuffers:            noMemory,
	errno.NoMemory:             noMemory,
	errno.AddressNotAvailable:  noLocalAddress,
	errno.AddressInUse:         addressInUse,
	errno.FamilyNotSupported:   noSuchFamily,
	errno.WrongProtocolType:    wrongSocketType,
	errno.InvalidArgument:      badArgument,
	errno.NameTooLong:          badPath,
	errno.NotDirectory:         badPath,
	errno.LinkLoop:             badPath,
}
