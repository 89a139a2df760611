// Package userinfo finds the user and the password in an address: in a URL, as in
// "amqp://user:password@host:5672/", and in a DSN, as in "user:password@tcp(host:3306)/db". An address
// that is dialed has neither, but a program can give Do any text as the address.
package userinfo

import "strings"

// Hide returns address with "..." in place of its user and password.
func Hide(network, address string) string {
	scheme, userinfo, rest := Cut(network, address)
	if userinfo == "" {
		return address
	}
	return scheme + "...@" + rest
}

// HideIn returns text with Hide(network, address) in place of the address, as in the message of an error
// about it.
func HideIn(text, network, address string) string {
	if hidden := Hide(network, address); hidden != address {
		return strings.ReplaceAll(text, address, hidden)
	}
	return text
}

// Cut returns the parts of address before and after its user and password: the scheme with "://", if
// there is one, and what follows the "@". The userinfo is empty if address has none.
//
// Everything before the last "@" counts as userinfo, because a password can hold any character. So a
// URL with an "@" in its path only loses its host too, and then the userinfo has a slash.
func Cut(network, address string) (scheme, userinfo, rest string) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || strings.HasPrefix(network, "unix") { // "@name" is an abstract unix socket
		return "", "", address
	}
	userinfo, rest = address[:at], address[at+1:]
	if s, after, ok := strings.Cut(userinfo, "://"); ok && !strings.ContainsAny(s, ":/@") { // not in a password
		scheme, userinfo = s+"://", after
	}
	return scheme, userinfo, rest
}
