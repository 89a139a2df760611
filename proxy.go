package redial

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// An HTTP proxy can refuse to connect a Transport to its target. This file turns its answer into an error.

// A ProxyError says that an HTTP proxy did not connect to the target of an https request. Status 403 and
// 407 are Denied; 502, 503 and 504 are Unreachable; others are Unknown. Only [Do] retries it.
type ProxyError struct {
	Proxy      string // host:port
	Target     string // host:port
	StatusCode int    // such as 503
}

// Error returns the proxy, the target and the status as a text.
func (e *ProxyError) Error() string {
	status := strconv.Itoa(e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		status += " " + text
	}
	return "proxy " + e.Proxy + " answered CONNECT " + e.Target + " with " + status
}

func (e *ProxyError) class() Class {
	switch e.StatusCode {
	case http.StatusForbidden, http.StatusProxyAuthRequired:
		return Denied
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unreachable
	}
	return Unknown
}

// checkProxyAnswer is an OnProxyConnectResponse. It returns a *ProxyError unless the proxy has
// connected. The error has no credentials, because a URL keeps them apart from its host.
func checkProxyAnswer(_ context.Context, proxy *url.URL, request *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	port := proxy.Port()
	if port == "" {
		port = portOfProxy[proxy.Scheme]
	}
	return &ProxyError{net.JoinHostPort(proxy.Hostname(), port), request.URL.Opaque, response.StatusCode}
}

// portOfProxy is the port of a proxy's URL that has none.
var portOfProxy = map[string]string{"http": "80", "https": "443"}
