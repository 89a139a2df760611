// Package systest tests redial against real kernels, DNS servers, resolvers and HTTP servers. It
// contains only tests, which use only the exported API. Some run in network namespaces or in other
// processes.
//
// Tests that need a namespace or another user are skipped without root. They print how to run them.
package systest
