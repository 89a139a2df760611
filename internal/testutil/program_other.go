//go:build !unix

package testutil

func isForeign(error) bool { return false }
