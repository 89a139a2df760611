package main

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// The metrics show each way in which the server fails.
func TestMetrics(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out testutil.Output
	exited := make(chan int)
	go func() { exited <- run(ctx, []string{"-listen", "127.0.0.1:0", "-phase", "600ms"}, &out) }()
	out.Await(t, "/metrics\n")
	url := regexp.MustCompile(`http://\S+`).FindString(out.String())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	// A name that does not exist is not_found, or dns where no DNS server can be reached.
	missing := regexp.MustCompile(`(?m)^redial_attempts_total{dialer="greeter",outcome="(not_found|dns)"} [1-9]`)
	body := ""
	require.Eventually(t, func() bool {
		var err error
		body, _, err = testutil.Get(ctx, client, url)
		return err == nil && missing.MatchString(body) &&
			counted(body, `redial_attempts_total{dialer="greeter",outcome="ok"}`) &&
			counted(body, `redial_attempts_total{dialer="greeter",outcome="refused"}`) &&
			counted(body, `redial_attempts_total{dialer="greeter",outcome="reset"}`) &&
			counted(body, `redial_attempts_total{dialer="greeter",outcome="timeout"}`) &&
			counted(body, `redial_dials_total{dialer="greeter",outcome="canceled"}`) &&
			counted(body, `redial_dials_stopped_total{dialer="greeter",stop="max_elapsed"}`) &&
			counted(body, `redial_addresses_tried_total{dialer="greeter",family="ipv4",outcome="ok"}`) &&
			counted(body, `redial_lookup_duration_seconds_count{dialer="greeter",result="ok"}`)
	}, 60*time.Second, 50*time.Millisecond, "%s", &latest{&body})
	cancel()
	assert.Zero(t, <-exited)
}

// latest prints the text as it is when the test fails.
type latest struct{ text *string }

func (l *latest) String() string { return *l.text }

// counted reports whether a series is there and not zero.
func counted(body, series string) bool {
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return value != "0\n"
		}
	}
	return false
}

func TestUsage(t *testing.T) {
	var out testutil.Output
	assert.Equal(t, 2, run(t.Context(), []string{"-no-such-flag"}, &out))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	assert.Equal(t, 1, run(t.Context(), []string{"-listen", ln.Addr().String()}, &out))
	assert.Contains(t, out.String(), "in use")
	assert.Zero(t, run(t.Context(), []string{"-listen", "127.0.0.1:0", "-for", "10ms"}, &out))
}
