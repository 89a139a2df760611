package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// failed returns the error of a dial whose only attempt failed with err.
func failed(err error) error {
	class := redial.Classify(err)
	return &net.OpError{Op: "dial", Net: "tcp", Err: &redial.Error{
		Network: "tcp", Address: "192.0.2.1:443", Attempts: 1, Class: class, Err: err, Stop: redial.ErrDeadline,
		History: []redial.Attempt{{Network: "tcp", Address: "192.0.2.1:443", Number: 1, Err: err, Class: class, Stop: redial.ErrDeadline}},
	}}
}

// The advice names the flags of these programs.
func TestAdviseOnCertificates(t *testing.T) {
	now := time.Now()
	certificate := &x509.Certificate{NotBefore: now.Add(-100 * time.Hour), NotAfter: now.Add(-73 * time.Hour)}
	a := Advise(Target{}, failed(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired}))
	assert.Equal(t, "tls.expired", a.Code)
	assert.Contains(t, a.String(), "It expired 3 days ago.")
	certificate.NotBefore = now.Add(5*time.Hour + time.Minute)
	a = Advise(Target{}, failed(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired}))
	assert.Contains(t, a.String(), "It becomes valid in 5 hours.")
	assert.Empty(t, validity(io.EOF, now))

	a = Advise(Target{}, failed(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: certificate}}))
	assert.Contains(t, a.String(), "-cacert FILE")
	assert.NotContains(t, a.String(), "tls.Config")
}

// The programs have flags, and no fields to set.
func TestAdviceHasNoWordsOfGo(t *testing.T) {
	alert := func(n uint8) error { return &net.OpError{Op: "remote error", Err: tls.AlertError(n)} }
	for code, err := range map[string]error{
		"tls.name":       &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a"}}, Host: "b"}},
		"tls.alert":      alert(116),
		"timeout.before": redial.ErrDeadline,
	} {
		err := failed(err)
		if code == "timeout.before" {
			err = &redial.Error{Network: "tcp", Address: "a:1", Class: redial.Timeout, Err: redial.ErrDeadline, Stop: redial.ErrDeadline, Cause: context.DeadlineExceeded}
		}
		a := Advise(Target{}, err)
		assert.Equal(t, code, a.Code)
		assert.NotRegexp(t, `tls\.Config|ServerName|Dialer|context`, a.String())
	}
}

// A certificate's names come from whoever answers.
func TestMessageIsPrintable(t *testing.T) {
	certificate := &x509.Certificate{DNSNames: []string{"evil\x1b]0;owned\x07.example\r", strings.Repeat("x\u009b", 100000)}}
	err := failed(&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: certificate, Host: "db.example"}})
	for _, text := range []string{Message(err), Message(errors.New("\x1b[2J")), Advise(Target{}, err).String()} {
		assert.NotContains(t, text, "\x1b")
		assert.NotContains(t, text, "\r")
		assert.NotContains(t, text, "\u009b")
		assert.Less(t, len(text), 2000)
	}
}

// An operator need not know the library's words.
func TestMessage(t *testing.T) {
	refused := errors.New("connect: connection refused")
	for want, err := range map[string]error{
		"connect: connection refused":                            &redial.Error{Attempts: 1, Err: refused, Stop: redial.ErrDeadline},
		"connect: connection refused (6 attempts in 1.9s)":       &net.OpError{Op: "dial", Err: &redial.Error{Attempts: 6, Elapsed: 1912 * time.Millisecond, Err: refused}},
		"there was no time for an attempt":                       &redial.Error{Err: redial.ErrDeadline, Stop: redial.ErrDeadline},
		"dial tcp: lookup db.example: no such host":              &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db.example"}},
		"connected, closed by the peer after 1.2ms":              failed(&ClosedError{After: 1234 * time.Microsecond, Err: io.EOF}),
		"plain HTTP to an HTTPS port: it answered 400":           failed(&TLSPortError{400}),
		"plain HTTP to a TLS port: it answered with a TLS alert": failed(new(TLSPortError)),
	} {
		assert.Equal(t, want, Message(err))
	}
	assert.Equal(t, "failed refused interrupted", Outcome(redial.Unknown)+" "+Outcome(redial.Refused)+" "+Outcome(redial.Canceled))
}
