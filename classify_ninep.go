package redial

// plan9Class has the error strings of Plan 9's kernel, where other systems
// have errnos: a string is the whole of an error there, and is compared as a
// whole (intro(2), /sys/src/9/port/error.h and /sys/src/9/ip). It stands in a
// file that every system builds, so that every system tests it.
var plan9Class = map[string]Class{
	"connection refused": Refused,

	"i/o on hungup channel": Reset,
	"hungup channel":        Reset,

	"connection timed out": Timeout,

	"no route":            Unreachable,
	"network unreachable": Unreachable,
	"host unreachable":    Unreachable,

	"permission denied":        Denied,
	"access permission denied": Denied, // Go's EACCES

	"no free file descriptors":         Exhausted,
	"no free devices":                  Exhausted, // of the clone file: no conversation left
	"network port not available":       Exhausted,
	"connection in use":                Exhausted,
	"device or object already in use":  Exhausted,
	"kernel allocate failed":           Exhausted,
	"virtual memory allocation failed": Exhausted,

	"bad arg in system call":                   Invalid,
	"bad ip address syntax":                    Invalid,
	"bad process or channel control request":   Invalid,
	"address family not supported by protocol": Invalid, // Go's EAFNOSUPPORT
	"not supported by plan 9":                  Invalid, // Go's EPLAN9
}
