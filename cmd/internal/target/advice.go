package target

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// Advise explains the failure of a look at t. It has the library's advice, with the flags of
// these programs in place of what a Go program would set.
func Advise(t Target, err error) explain.Advice {
	if e, ok := errors.AsType[*TLSPortError](err); ok {
		return e.advice(t)
	}
	a := explain.For(err)
	switch a.Code {
	case "tls.expired":
		a.Likely = validity(err, time.Now())
	case "tls.self-signed", "tls.authority":
		a.Checks[0].Question = "Is it meant to be? Trust it, or the authority that issued it: -cacert FILE. Not to check at all: -insecure."
	case "tls.name":
		a.Checks[0].Question = "Is the server dialed by a name or an IP address that the certificate lacks? Dial a name that it has."
	case "tls.alert":
		if strings.Contains(a.Checks[0].Question, "tls.Config.Certificates") {
			a.Checks[0].Question = "Does the server want a certificate from its clients? This program has none to show."
		}
	case "timeout.before":
		return explain.Advice{Code: a.Code, Observed: "Nothing was dialed, because the time was up before the first attempt."}
	}
	return a
}

func (e *TLSPortError) advice(t Target) explain.Advice {
	a := explain.Advice{Code: "unknown.https-port", Observed: shown(t.Address) + " takes only HTTPS on that port."}
	if t.Scheme == "http" {
		secure := *t.URL
		secure.Scheme = "https"
		a.Checks = []explain.Check{{Question: "Is HTTPS meant? Give " + shown(secure.String())}}
	}
	return a
}

// validity says how long ago a certificate has expired, or when it becomes valid.
func validity(err error, now time.Time) string {
	e, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case !ok || e.Cert == nil:
		return ""
	case now.Before(e.Cert.NotBefore):
		return fmt.Sprintf("It becomes valid in %s.", cli.Age(e.Cert.NotBefore.Sub(now)))
	}
	return fmt.Sprintf("It expired %s ago.", cli.Age(now.Sub(e.Cert.NotAfter)))
}

// Message returns the failure's last error as it can be printed, and how often was tried.
func Message(err error) string {
	failed, ok := errors.AsType[*redial.Error](err)
	switch {
	case !ok:
		return cli.Foreign(err.Error())
	case failed.Attempts == 0:
		return "there was no time for an attempt"
	case failed.Attempts == 1:
		return cli.Foreign(failed.Err.Error())
	}
	return fmt.Sprintf("%s (%d attempts in %v)", cli.Foreign(failed.Err.Error()), failed.Attempts, plain.Duration(failed.Elapsed))
}

// Outcome returns a failure's class in a word for operators.
func Outcome(class redial.Class) string {
	switch class {
	case redial.Unknown:
		return "failed"
	case redial.Canceled:
		return "interrupted"
	}
	return class.String()
}
