package redial

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// The advice on handshakes: the peer is there and answered, but not with what
// makes a TLS connection that this program trusts.

func explainTLS(f *failure) advice {
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
	if f.op == "remote error" {
		return advice{sentence(f.where()) + " broke off the TLS handshake: " + f.text(), []string{
			"Does it want a certificate from the client? Set tls.Config.Certificates.",
			"Is the server name right, or missing? Behind one address there may be many servers (tls.Config.ServerName).",
			"Have both a protocol version and cipher suite in common? Go's least version is TLS 1.2.",
			"Does the server's log tell why? It knows more than its alert says.",
		}}
	}
	return advice{sentence(f.where()) + " is there, but the TLS handshake failed: " + f.text(), []string{
		see("What does it send?", "openssl s_client -connect %s", f.address),
		"Are this machine's root certificates there? Images of containers may lack them (ca-certificates).",
		"Have both a protocol version and cipher suite in common?",
	}}
}

func (f *failure) plainText(e tls.RecordHeaderError) advice {
	what := "plain text, or another protocol"
	if string(e.RecordHeader[:]) == "HTTP/" {
		what = "plain HTTP"
	}
	return advice{sentence(f.where()) + " does not speak TLS on that port: its answer is " + what, []string{
		"Is it the port for plain text? TLS often has one of its own (443 beside 80, 636 beside 389, 993 beside 143).",
		"Is TLS switched on in the server?",
		"Does the protocol start in plain text (STARTTLS: SMTP, LDAP, PostgreSQL, MySQL)? Then its client must do the handshake.",
	}}
}

func (f *failure) otherName(e x509.HostnameError) advice {
	names := "no name at all"
	if e.Certificate != nil {
		if has := certificateNames(e.Certificate); has != "" {
			names = has
		}
	}
	return advice{
		fmt.Sprintf("The certificate of %s is for %s, not for %s", f.where(), names, e.Host),
		[]string{
			"Is the server dialed by a name that its certificate lacks (an alias, an IP address)? Dial one that it has.",
			"Is the name to be another than the one dialed? Set tls.Config.ServerName.",
			"Is it the right server? One that does not know the name asked for shows its default certificate.",
			"Else the server needs a certificate with that name in it (subjectAltName; the common name does not count).",
		},
	}
}

// certificateNames are those that a certificate is valid for.
func certificateNames(c *x509.Certificate) string {
	var names []name
	for _, dns := range c.DNSNames {
		names = append(names, name(dns))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, name(ip.String()))
	}
	return named(names)
}

type name string

func (n name) String() string { return string(n) }

func (f *failure) unknownAuthority(e x509.UnknownAuthorityError) advice {
	issuer := ""
	if e.Cert != nil {
		if name := e.Cert.Issuer.String(); name != "" {
			issuer = " (" + name + ")"
		}
	}
	return advice{
		"The certificate of " + f.where() + " was issued by an authority" + issuer + " that this program does not trust",
		[]string{
			"Is it a private authority's, or signed by itself? Add its certificate to tls.Config.RootCAs, or name it in SSL_CERT_FILE.",
			see("Does the server leave out an intermediate certificate? It must send the whole chain but the root.",
				"openssl s_client -showcerts -connect %s", f.address),
			"Are this machine's root certificates there, and not too old? Images of containers may lack them (ca-certificates).",
			"Does a proxy on the way break up TLS? Then the issuer above is its own.",
		},
	}
}

func (f *failure) invalidCertificate(e x509.CertificateInvalidError) advice {
	if e.Reason != x509.Expired || e.Cert == nil {
		return advice{"The certificate of " + f.where() + " can't be accepted: " + f.text(), []string{
			see("What does it send?", "openssl s_client -showcerts -connect %s", f.address),
			"Was it issued for another use, such as a client's, or by a certificate that may not issue any?",
		}}
	}
	subject := ""
	if has := certificateNames(e.Cert); has != "" {
		subject = " (" + has + ")"
	}
	return advice{
		fmt.Sprintf("A certificate of %s%s is not valid at this time, but from %s until %s",
			f.where(), subject, day(e.Cert.NotBefore), day(e.Cert.NotAfter)),
		[]string{
			"Has it expired? Renew it, and look why that did not happen by itself.",
			"Was it renewed already? The server must load the new one: many do at a reload or restart only.",
			see("Is this machine's clock right?", f.clock),
		},
	}
}

func day(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04 MST"), " 00:00 UTC")
}
