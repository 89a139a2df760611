// Package plain has what this module's messages for people have in common.
package plain

import "time"

// Duration returns d without the digits that nobody reads: 2m5s, 1.2s, 340ms, 1.4ms, 96µs.
func Duration(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// Port returns the port of a URL that names none, by its scheme in lower case. It
// returns "" for a scheme that is not known.
func Port(scheme string) string { return ports[scheme] }

var ports = map[string]string{
	"http": "80", "https": "443", "ws": "80", "wss": "443",
	"postgres": "5432", "postgresql": "5432", "mysql": "3306", "mongodb": "27017", "redis": "6379", "rediss": "6379",
	"amqp": "5672", "amqps": "5671", "nats": "4222", "ldap": "389", "ldaps": "636",
}
