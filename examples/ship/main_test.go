package main

import (
	"bytes"
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestNoLineIsLost(t *testing.T) {
	testutil.NeedSockets(t)
	var out bytes.Buffer
	assert.Zero(t, run(t.Context(), &out, 200*time.Millisecond))
	withoutTimes := regexp.MustCompile(`, the next in \S+`).ReplaceAllString(out.String(), "")
	withoutAttempts := regexp.MustCompile(`(attempt \d+: refused\n)+`).ReplaceAllString(withoutTimes, "refused\n")
	assert.Regexp(t, `^connected
acknowledged: line 1
acknowledged: line 2
connection 1 lost: reset
(refused
)?connected
acknowledged: line 3
acknowledged: line 4
connection 2 lost: reset
(refused
)?connected
acknowledged: line 5
acknowledged: line 6
6 of 6 lines arrived, twice: line 3, line 5
$`, withoutAttempts)
}

func TestCanceled(t *testing.T) {
	testutil.NeedSockets(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	assert.Equal(t, 1, run(ctx, &out, 0))
	assert.Contains(t, out.String(), "not attempted: canceled")
}
