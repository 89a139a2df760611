package target

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
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
		"postgres://db/app":     {network: "tcp", address: "db:5432"},
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
		"gopher://db/x":                "gopher://db/x: the port is missing: give db:port",
		"gopher://u:s3cret@[::1]":      "gopher://u:xxxxx@[::1]: the port is missing: give [::1]:port",
		"tls://db":                     "give tls://db:port",
		"tcp6://db":                    "give tcp6://db:port",
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
	assert.ErrorContains(t, err, "2001:db8::1: ")
	assert.ErrorContains(t, err, "brackets")
	assert.Equal(t, "2001:db8::1", got.Name)
}

// What a terminal could take for a command is shown escaped, and used as it is.
func TestNamesArePrintable(t *testing.T) {
	for _, arg := range []string{"db:54\x1b[31m32", "db:5432\r", "unix:/run/\x1b[2J", "http+unix:/run/\a:/x", "http://\x1b[2J/x", "redis://u:p@\x9b/\r", "\x1b[2J"} {
		got, err := Parse(arg)
		assert.NotContains(t, got.Name, "\x1b", arg)
		assert.Equal(t, cli.Foreign(got.Name), got.Name)
		if err != nil {
			assert.Equal(t, cli.Foreign(strings.ReplaceAll(err.Error(), "\n", "")), strings.ReplaceAll(err.Error(), "\n", ""))
		}
	}
	got, err := Parse("unix:/run/\x1b")
	assert.NoError(t, err)
	assert.Equal(t, "/run/\x1b", got.Address)
}

// A port that stands apart is put where it belongs.
func TestFirst(t *testing.T) {
	for args, want := range map[string]string{
		"localhost 5432": "localhost: give host and port as one: localhost:5432",
		"::1 5432":       "::1: give host and port as one: [::1]:5432",
		"[::1] 5432":     "[::1]: give host and port as one: [::1]:5432",
		"db 99999":       "has no port",
		"db x:1":         "has no port",
		"db":             "has no port",
		"a:1 5432":       "",
		"http:///x 80":   "the host is missing",
	} {
		_, err := First(strings.Fields(args))
		if want == "" {
			assert.NoError(t, err, args)
		} else {
			assert.ErrorContains(t, err, want, args)
		}
	}
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
