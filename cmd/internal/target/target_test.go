package target

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	for arg, want := range map[string]struct{ network, address, serverName, url string }{
		"db:5432":               {network: "tcp", address: "db:5432"},
		"tcp:80":                {network: "tcp", address: "tcp:80"},
		"[2001:db8::1]:80":      {network: "tcp", address: "[2001:db8::1]:80"},
		"tcp://db:5432":         {network: "tcp", address: "db:5432"},
		"tcp6://db:5432":        {network: "tcp6", address: "db:5432"},
		"udp://db:53":           {network: "udp", address: "db:53"},
		"unix:/run/app.sock":    {network: "unix", address: "/run/app.sock"},
		"unix:///run/app.sock":  {network: "unix", address: "/run/app.sock"},
		"unix:app.sock":         {network: "unix", address: "app.sock"},
		"unix:@abstract":        {network: "unix", address: "@abstract"},
		"http://api/health?x=1": {network: "tcp", address: "api:80", url: "http://api/health?x=1"},
		"http://api:8080":       {network: "tcp", address: "api:8080", url: "http://api:8080"},
		"https://api/health":    {network: "tcp", address: "api:443", serverName: "api", url: "https://api/health"},
		"https://[2001:db8::1]": {network: "tcp", address: "[2001:db8::1]:443", serverName: "2001:db8::1", url: "https://[2001:db8::1]"},
		"tls://mail:993":        {network: "tcp", address: "mail:993", serverName: "mail"},
		"redis://db:6379":       {network: "tcp", address: "db:6379"},
		"http+unix:///run/app.sock:/health?x=a:/": {network: "unix", address: "/run/app.sock", url: "http://localhost/health?x=a:/"},
		"http+unix:/run/app.sock":                 {network: "unix", address: "/run/app.sock", url: "http://localhost/"},
		"http+unix:app.sock:/health":              {network: "unix", address: "app.sock", url: "http://localhost/health"},
	} {
		got, err := Parse(arg)
		assert.NoError(t, err, arg)
		assert.Equal(t, arg, got.Name)
		url := ""
		if got.URL != nil {
			url = got.URL.String()
		}
		assert.Equal(t, want, struct{ network, address, serverName, url string }{got.Network, got.Address, got.ServerName, url}, arg)
	}
}

// The password is used, and not shown.
func TestParsePassword(t *testing.T) {
	for arg, name := range map[string]string{
		"http://user:s3cret@api:80/x":                  "http://user:xxxxx@api:80/x",
		"https://user:s3cret@api":                      "https://user:xxxxx@api",
		"http+unix://user:s3cret@/run/app.sock:/x":     "http+unix://user:xxxxx@/run/app.sock:/x",
		"http+unix://user:s3cret@/run/@b.sock:/health": "http+unix://user:xxxxx@/run/@b.sock:/health",
	} {
		got, err := Parse(arg)
		assert.NoError(t, err, arg)
		assert.Equal(t, name, got.Name)
		password, _ := got.URL.User.Password()
		assert.Equal(t, "s3cret", password, arg)
		assert.NotContains(t, got.Address, "s3cret")
	}
	got, err := Parse("postgres://user:s3cret@db:5432/app")
	assert.NoError(t, err)
	assert.Equal(t, "postgres://user:xxxxx@db:5432/app", got.Name)
}

func TestParseWrong(t *testing.T) {
	for arg, want := range map[string]string{
		"unix:":                        "give unix:/run/app.sock",
		"http+unix://":                 "give http+unix:///run/app.sock:/health",
		"http+unix://u:s3cret%@/x:/y":  "http+unix://u:xxxxx@/x:/y: this is not a URL: in a user name or password write",
		"http+unix:///x:/%zz":          `invalid URL escape "%zz"`,
		"http:///x":                    "http:///x: the host is missing: give http://host:port",
		"redis://db":                   "redis://db: the port is missing: give redis://db:port",
		"redis://u:s3cret@db":          "redis://u:xxxxx@db: the port is missing",
		"http://[::1":                  "this is not a URL: missing ']'",
		"http://u:s3cret@[::1":         "http://u:xxxxx@[::1: this is not a URL: in a user name or password write",
		"http://u:s3cret/1@api":        "http://u:xxxxx@api: this is not a URL",
		"http://u:s3cret%@api":         "http://u:xxxxx@api: this is not a URL",
		"u:s3cret@db:5432":             "u:xxxxx@db:5432 has a user name in it: give host:port alone",
		"http://u:one@s3cret two@[::1": "http://u:xxxxx@[::1",
	} {
		got, err := Parse(arg)
		if assert.Error(t, err, arg) {
			assert.Contains(t, err.Error(), want)
			assert.NotContains(t, err.Error(), "s3cret")
		}
		assert.NotContains(t, got.Name, "s3cret", arg)
	}
	got, err := Parse("2001:db8::1")
	_, ok := errors.AsType[*net.AddrError](err)
	assert.True(t, ok)
	assert.Equal(t, "2001:db8::1", got.Name)
}

func TestOn(t *testing.T) {
	for _, c := range []struct{ network, address, name, err string }{
		{"tcp", "db:1", "db:1", ""},
		{"tcp6", "db:1", "tcp6 db:1", ""},
		{"unix", "/x", "unix /x", ""},
		{"unixgram", "@x", "unixgram @x", ""},
		{"ip4:icmp", "db", "ip4:icmp db", ""},
		{"unix", "", "unix ", "the path is missing"},
		{"tcp", "http://u:p@h:1", "http://u:xxxxx@h:1", "http://u:xxxxx@h:1 is a URL: give it without the network tcp"},
		{"tcp4", "u:p@h:1", "tcp4 u:xxxxx@h:1", "u:xxxxx@h:1 has a user name"},
	} {
		got, err := On(c.network, c.address)
		assert.Equal(t, c.name, got.Name)
		if c.err == "" {
			assert.NoError(t, err)
			assert.Equal(t, c.network+" "+c.address, got.Network+" "+got.Address)
		} else {
			assert.ErrorContains(t, err, c.err)
		}
	}
}

func TestIsNetwork(t *testing.T) {
	for name, want := range map[string]bool{
		"tcp": true, "udp6": true, "unixgram": true, "ip": true, "ip4:icmp": true,
		"tcp:80": false, "unix:/x": false, "TCP": false, "db": false, "": false,
	} {
		assert.Equal(t, want, IsNetwork(name), name)
	}
}

func TestRedact(t *testing.T) {
	for arg, want := range map[string]string{
		"http://u:p@h/x":     "http://u:xxxxx@h/x",
		"http://u:p@q@h/x":   "http://u:xxxxx@h/x",
		"http://u:@h/x":      "http://u:xxxxx@h/x",
		"http://u@h/x":       "http://u@h/x",
		"http://h:1/x@y":     "http://h:1/x@y",
		"http://u:p/q@h":     "http://u:xxxxx@h",
		"u:p@h:1":            "u:xxxxx@h:1",
		"u@h:1":              "u@h:1",
		"db:5432":            "db:5432",
		"http://u:p p@[h%/x": "http://u:xxxxx@[h%/x",
	} {
		assert.Equal(t, want, Redact(arg), arg)
	}
	for message, want := range map[string]string{
		`invalid value "http://u:p@h" for flag -x`:    `invalid value "http://xxxxx@h" for flag -x`,
		`invalid value "http://u:p q@r@h" for`:        `invalid value "http://xxxxx@h" for`,
		`invalid value "u:p@h:1" for flag -x`:         `invalid value "u:xxxxx@h:1" for flag -x`,
		`-http://u:p@h`:                               `-http://xxxxx@h`,
		`invalid value "30" for flag -x: parse error`: `invalid value "30" for flag -x: parse error`,
	} {
		assert.Equal(t, want, RedactText(message))
	}
}
