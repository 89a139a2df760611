// Package systest has tests only: of redial against real kernels, DNS servers, resolvers and HTTP servers, in network
// namespaces and other processes where it takes them. They use the exported API alone.
//
// Those that need a namespace or a user of its own skip without root, and say how to run them.
package systest
