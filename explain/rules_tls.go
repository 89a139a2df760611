package explain

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// The rules of TLS handshakes. The peer accepted, so firewalls and routes are no suspects.

var tlsRules = []rule{
	row("plain-http", func(f *facts) bool { return f.firstBytes() == "HTTP/" },
		"{Where} does not speak TLS on that port: it answered in plain HTTP", "", plainChecks...),
	row("plain-text", func(f *facts) bool { return f.firstBytes() != "" },
		"{Where} does not speak TLS on that port: it answered in plain text or another protocol", "", plainChecks...),
	row("name", has[x509.HostnameError], "The certificate of {where} is for {names}, not for {expected name}", "",
		say("Is the server dialed by a name or an IP address that the certificate lacks? Dial a name that it has, or set ServerName."),
		say("Is it the right server? A server that does not know the name asked for shows its default certificate."),
		say("If both are right, the server needs a certificate with that name (subjectAltName; the common name does not count).")),
	row("self-signed", (*facts).isSelfSigned,
		"The certificate of {where} is self-signed ({issuer}), and this program does not trust it", "",
		say("Is it meant to be? Add it to the certificates trusted (SSL_CERT_FILE, tls.Config.RootCAs), or get one from an authority."),
		ask("Is it the right server? A proxy or a default site may show a certificate of its own.", here, certificates)),
	row("authority", has[x509.UnknownAuthorityError],
		"The certificate of {where} was issued by {issuer}, which this program does not trust", "",
		say("Is it a private authority's? Add the authority's certificate to those trusted (SSL_CERT_FILE, tls.Config.RootCAs)."),
		ask("Does the server leave out an intermediate certificate? It must send all but the root.", here, certificates),
		say("Are this machine's root certificates installed, and not too old? Container images often lack them (ca-certificates)."),
		say("Does a proxy on the way terminate TLS? Then the issuer is the proxy.")),
	row("expired", (*facts).isExpired,
		"A certificate of {where}{for names?} is valid from {valid from} until {valid until}; this machine's clock is outside that time",
		"",
		ask("Is that time over, or still to come? If neither, this machine's clock is wrong.", here, clock),
		say("Has it expired? Renew it. If it is renewed already, the server must load the new one: many need a reload.")),
	row("certificate", has[x509.CertificateInvalidError], "The certificate of {where} is not valid for this use: {text}", "",
		ask("What does the server send?", here, certificates),
		say("Was it issued for another use, such as a client's, or by a certificate that may not issue any?")),
	row("no-roots", has[x509.SystemRootsError],
		"This machine's root certificates could not be loaded, so no certificate can be verified", "",
		say("Are they installed? Container images often lack them (package ca-certificates)."),
		say("Do SSL_CERT_FILE or SSL_CERT_DIR name files that this program may read?")),
	row("alert", func(f *facts) bool { return f.op != nil && f.op.Op == "remote error" },
		"{Where} ended the TLS handshake: it reported {alert}", "",
		say("{alert check}"),
		say("Does the server's log say why? It knows more than its alert says."),
		ask("Which certificates and which protocol version does it offer?", here, certificates)),
	row("other", nil, "{Where} accepted the connection, but the TLS handshake failed: {text}", "",
		ask("Which certificates and which protocol version does it offer?", here, certificates),
		say("Do both sides share a protocol version and a cipher suite? Go needs TLS 1.2 at least."),
		say("Does a proxy on the way terminate TLS?")),
}

var plainChecks = []check{
	say("Is it the port for plain text? TLS often has its own (443 beside 80, 636 beside 389, 993 beside 143)."),
	say("Is TLS switched on in the server, or should the client not use TLS (http in place of https)?"),
	say("Does the protocol start in plain text (STARTTLS: SMTP, LDAP, PostgreSQL, MySQL)? Then its client must do the handshake."),
}

// has fits if an error of type E is in the chain.
func has[E error](f *facts) bool {
	_, ok := find[E](f)
	return ok
}

// firstBytes returns what the peer sent in place of TLS; empty if it sent TLS.
func (f *facts) firstBytes() string {
	if f.leaf() == http.ErrSchemeMismatch {
		return "HTTP/"
	}
	e, ok := find[tls.RecordHeaderError](f)
	if !ok {
		return ""
	}
	return string(e.RecordHeader[:])
}

// certificate returns the certificate that was not accepted; nil if it is not known.
func (f *facts) certificate() *x509.Certificate {
	for _, err := range f.chain {
		switch e := err.(type) {
		case x509.HostnameError:
			return e.Certificate
		case x509.UnknownAuthorityError:
			return e.Cert
		case x509.CertificateInvalidError:
			return e.Cert
		}
	}
	return nil
}

func (f *facts) isSelfSigned() bool {
	c := f.certificate()
	return has[x509.UnknownAuthorityError](f) && c != nil && len(c.RawIssuer) > 0 && string(c.RawIssuer) == string(c.RawSubject)
}

func (f *facts) isExpired() bool {
	e, ok := find[x509.CertificateInvalidError](f)
	return ok && e.Reason == x509.Expired && e.Cert != nil
}

// names lists the names that the certificate is valid for.
func (f *facts) names() string {
	c := f.certificate()
	if c == nil {
		return ""
	}
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, shown(name))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return list(names, 3)
}

func day(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04 MST"), " 00:00 UTC")
}

// alert returns what the alert means that the peer sent in place of the handshake, and what to check.
func (f *facts) alert() (said, check string) {
	if leaf := reflect.ValueOf(f.leaf()); leaf.Kind() == reflect.Uint8 {
		if known, ok := alerts[leaf.Uint()]; ok {
			return known.said, known.check
		}
	}
	return "an alert: " + f.text(), "Does the server want a certificate from the client (tls.Config.Certificates)?"
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
