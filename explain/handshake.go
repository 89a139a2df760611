package explain

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// The texts of failures after connecting: handshakes, silence, and proxies. The
// peer accepted, so firewalls and routes are no suspects.

// silent explains a connection that was made and then stayed silent.
func (f *failure) silent() advice {
	if f.condition == errno.TimedOut {
		return advice{name: "lost after connecting", observed: "The connection to " + f.where() + " was made, and then its packets were no longer acknowledged",
			likely: "Likely the host or the network on the way went down, or a firewall forgot the connection.",
			checks: []check{
				look("Is the host still up, and how far do packets get?", here, f.command(ping, f.ip()), f.command(trace, f.ip())),
				look("Does a firewall or NAT on the way drop connections that were idle, or restart?", f.firewallPlace(), f.command(firewall)),
				say("Did the address or the route of this machine change (VPN, roaming)?"),
			}}
	}
	return advice{name: "silent after connecting", observed: sentence(f.where()) + " accepted the connection, and then did not answer" + f.patience(),
		likely: "Likely the server hangs or is too busy, or waits for another protocol.",
		checks: []check{
			look("Does the server hang, or is its accept queue filling (Recv-Q)? The kernel accepts even if the server never does.", f.place(),
				f.command(listening, f.port())),
			look("Do both sides wait, one for TLS and one for plain text? Do only small packets get through (pmtu; VPN)?", here, f.pathMTU()),
			say("Is it a proxy or load balancer whose backend is silent?"),
		}}
}

// pathMTU returns the command that shows how large packets may be on the way.
func (f *failure) pathMTU() string {
	if f.isLocal() {
		return ""
	}
	return f.onLinux(f.command(trace, f.ip()))
}

// saysHandshake reports whether net/http says that the TLS handshake took too
// long. Its error has a type of its own, but no exported name.
func (f *failure) saysHandshake() bool {
	t := reflect.TypeOf(f.leaf())
	return t != nil && t.PkgPath() == "net/http" && strings.Contains(t.Name(), "Handshake")
}

// clientTimeout explains a client's timeout that does not say how far it got. A
// failed dial would be in the error, unless the client's own time ran out during
// the dial.
func (f *failure) clientTimeout() advice {
	return advice{name: "timeout of a client", observed: "The client's time ran out while it waited for " + f.where(),
		likely: "Likely the server accepted and then was too slow; the error does not exclude that connecting failed.",
		checks: []check{
			say("Does the server's log show the request? Then the server, or a backend behind it, is slow or hangs."),
			look("If not, does it accept connections at all? See the program's log for failed dials.", f.place(), f.command(listening, f.port())),
			say("Is the client's timeout too short for that request? Keep the dial's time limit (Dialer.MaxElapsed) below it."),
		}}
}

// socksFailed explains a SOCKS proxy that was reached and did not connect. What
// it says about the target is a text only.
func (f *failure) socksFailed() advice {
	return advice{name: "SOCKS proxy failed", observed: "The SOCKS proxy was reached, but did not connect to " + f.asked.String() + ": it says " + f.text(),
		checks: []check{
			say("Does the target accept connections from the proxy's host? Try it there; the proxy's log may say more."),
			say("Does the proxy allow that target and port, and the user?"),
		}}
}

func (f *failure) tls() advice {
	if e, ok := find[tls.RecordHeaderError](f); ok {
		return f.plainText(e)
	}
	if e, ok := find[x509.HostnameError](f); ok {
		return f.otherName(e)
	}
	if e, ok := find[x509.UnknownAuthorityError](f); ok {
		return f.unknownAuthority(e)
	}
	if e, ok := find[x509.CertificateInvalidError](f); ok {
		return f.invalidCertificate(e)
	}
	if _, ok := find[x509.SystemRootsError](f); ok {
		return advice{name: "tls, no roots", observed: "This machine's root certificates could not be loaded, so no certificate can be verified",
			checks: []check{
				say("Are they installed? Container images often lack them (package ca-certificates)."),
				say("Do SSL_CERT_FILE or SSL_CERT_DIR name files that this program may read?"),
			}}
	}
	if f.op != nil && f.op.Op == "remote error" {
		return f.alert()
	}
	return advice{name: "tls, other", observed: sentence(f.where()) + " accepted the connection, but the TLS handshake failed: " + f.text(),
		checks: []check{
			look("Which certificates and which protocol version does it offer?", here, f.command(certificates, f.address())),
			say("Do both sides share a protocol version and a cipher suite? Go needs TLS 1.2 at least."),
			say("Does a proxy on the way terminate TLS?"),
		}}
}

// alerts has what the alerts of TLS mean (RFC 8446, section 6), and what to
// check.
var alerts = map[uint64]struct{ said, check string }{
	40:  {"that no common parameters were found", "Do both sides share a cipher suite and a protocol version? Older servers have only what Go refuses by default."},
	42:  {"that the client's certificate is bad", "Is the client's certificate (tls.Config.Certificates) one that the server accepts?"},
	43:  {"that the client's certificate is of an unsupported type", "Is the client's certificate of a kind that the server accepts?"},
	44:  {"that the client's certificate is revoked", "Has the client's certificate been replaced? Use the new one."},
	45:  {"that the client's certificate has expired", "Renew the client's certificate, and check both clocks."},
	46:  {"that it cannot accept the client's certificate", "Is the client's certificate (tls.Config.Certificates) one that the server accepts?"},
	48:  {"that it does not know who issued the client's certificate", "Does the server trust the authority of the client's certificate? Send intermediates too."},
	49:  {"that access is denied", "Does the server allow this client's certificate?"},
	70:  {"that it does not support the protocol version", "Which versions does the server support? Go offers TLS 1.2 and 1.3 unless MinVersion or MaxVersion says otherwise."},
	71:  {"that the offered security is insufficient", "Which cipher suites and key sizes does the server demand?"},
	80:  {"an internal error", "Does the server's log say what went wrong? Its certificate or key may be missing."},
	109: {"that an extension is missing", "Does the client send the server's name (tls.Config.ServerName)?"},
	112: {"that it does not know the server name", "Is the name that was asked for one that the server is configured for (tls.Config.ServerName)?"},
	116: {"that it requires a client certificate", "Does the client have a certificate? Set it in tls.Config.Certificates."},
	120: {"that no application protocol is shared", "Do both sides share one (ALPN, tls.Config.NextProtos), such as h2 or http/1.1?"},
}

// alert explains an alert that the peer sent in place of the handshake.
func (f *failure) alert() advice {
	said, first := "an alert: "+f.text(), "Does the server want a certificate from the client (tls.Config.Certificates)?"
	if leaf := reflect.ValueOf(f.leaf()); leaf.Kind() == reflect.Uint8 {
		if known, ok := alerts[leaf.Uint()]; ok {
			said, first = known.said, known.check
		}
	}
	return advice{name: "tls, alert", observed: sentence(f.where()) + " ended the TLS handshake: it reported " + said,
		checks: []check{
			say(first),
			say("Does the server's log say why? It knows more than its alert says."),
			look("Which certificates and which protocol version does it offer?", here, f.command(certificates, f.address())),
		}}
}

func (f *failure) plainText(e tls.RecordHeaderError) advice {
	answer := "plain text or another protocol"
	if string(e.RecordHeader[:]) == "HTTP/" {
		answer = "plain HTTP"
	}
	return advice{name: "tls, not TLS", observed: sentence(f.where()) + " does not speak TLS on that port: it answered in " + answer,
		checks: []check{
			say("Is it the port for plain text? TLS often has its own (443 beside 80, 636 beside 389, 993 beside 143)."),
			say("Is TLS switched on in the server, or should the client not use TLS (http in place of https)?"),
			say("Does the protocol start in plain text (STARTTLS: SMTP, LDAP, PostgreSQL, MySQL)? Then its client must do the handshake."),
		}}
}

func (f *failure) otherName(e x509.HostnameError) advice {
	names := "no name at all"
	if e.Certificate != nil {
		if has := certificateNames(e.Certificate); has != "" {
			names = has
		}
	}
	return advice{name: "tls, other name", observed: fmt.Sprintf("The certificate of %s is for %s, not for %s", f.where(), names, shown(e.Host)),
		checks: []check{
			say("Is the server dialed by a name or an IP address that the certificate lacks? Dial a name that it has, or set ServerName."),
			say("Is it the right server? A server that does not know the name asked for shows its default certificate."),
			say("If both are right, the server needs a certificate with that name (subjectAltName; the common name does not count)."),
		}}
}

// certificateNames lists the names that a certificate is valid for.
func certificateNames(c *x509.Certificate) string {
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, shown(name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 3
	if n := len(names) - most; n > 1 {
		names = append(names[:most], fmt.Sprintf("%d more", n))
	}
	return list(names)
}

func (f *failure) unknownAuthority(e x509.UnknownAuthorityError) advice {
	a := advice{name: "tls, unknown authority", observed: "The certificate of " + f.where() + " was issued by an authority that this program does not trust",
		checks: []check{
			say("Is it a private authority's? Add the authority's certificate to those trusted (SSL_CERT_FILE, tls.Config.RootCAs)."),
			look("Does the server leave out an intermediate certificate? It must send all but the root.", here, f.command(certificates, f.address())),
			say("Are this machine's root certificates installed, and not too old? Container images often lack them (ca-certificates)."),
			say("Does a proxy on the way terminate TLS? Then the issuer is the proxy."),
		}}
	if e.Cert == nil {
		return a
	}
	issuer := e.Cert.Issuer.String()
	switch {
	case len(e.Cert.RawIssuer) > 0 && string(e.Cert.RawIssuer) == string(e.Cert.RawSubject):
		a.name = "tls, self-signed"
		a.observed = "The certificate of " + f.where() + " is self-signed (" + shown(issuer) + "), and this program does not trust it"
		a.checks[0] = say("Is it meant to be? Add it to the certificates trusted (SSL_CERT_FILE, tls.Config.RootCAs), or get one from an authority.")
	case issuer != "":
		a.observed = "The certificate of " + f.where() + " was issued by " + shown(issuer) + ", which this program does not trust"
	}
	return a
}

func (f *failure) invalidCertificate(e x509.CertificateInvalidError) advice {
	if e.Reason != x509.Expired || e.Cert == nil {
		return advice{name: "tls, invalid certificate", observed: "The certificate of " + f.where() + " is not valid for this use: " + f.text(),
			checks: []check{
				look("What does the server send?", here, f.command(certificates, f.address())),
				say("Was it issued for another use, such as a client's, or by a certificate that may not issue any?"),
			}}
	}
	subject := ""
	if has := certificateNames(e.Cert); has != "" {
		subject = " (for " + has + ")"
	}
	return advice{name: "tls, expired", observed: fmt.Sprintf("A certificate of %s%s is valid from %s until %s; this machine's clock is outside that time",
		f.where(), subject, day(e.Cert.NotBefore), day(e.Cert.NotAfter)),
		checks: []check{
			look("Is that time over, or still to come? If neither, this machine's clock is wrong.", here, f.command(clock)),
			say("Has it expired? Renew it. If it is renewed already, the server must load the new one: many need a reload."),
		}}
}

func day(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04 MST"), " 00:00 UTC")
}

// addrErrorText returns the Err of the *net.AddrError that err is.
func addrErrorText(err error) string {
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		return e.Err
	}
	return ""
}
