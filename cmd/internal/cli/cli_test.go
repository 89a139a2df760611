package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const usage = "usage: prog [flags]\n\nMore.\n"

func newFlags() (*flag.FlagSet, *time.Duration) {
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	var d time.Duration
	Duration(flags, &d, "wait", time.Minute, "for this `duration`")
	Duration(flags, new(time.Duration), "pause", 0, "`none`")
	return flags, &d
}

func TestParse(t *testing.T) {
	flags, d := newFlags()
	assert.Equal(t, time.Minute, *d)
	assert.NoError(t, Parse(flags, []string{"-wait", "1m30s"}, usage, nil))
	assert.Equal(t, 90*time.Second, *d)

	for arg, want := range map[string]string{
		"-wait=30":           `invalid value "30" for flag -wait: it lacks a unit: write 30s for seconds, 30m for minutes`,
		"-wait=1.5":          "write 1.5s for seconds",
		"-wait=soon":         "write a number and its unit, such as 30s, 500ms or 2m",
		"-wait=http://u:p@h": `invalid value "http://xxxxx@h" for flag -wait`,
		"-other":             "flag provided but not defined: -other",
		"-http://u:p@h":      "not defined: -http://xxxxx@h",
	} {
		var out bytes.Buffer
		flags, _ := newFlags()
		err := Parse(flags, []string{arg}, usage, &out)
		assert.ErrorContains(t, err, want)
		assert.Empty(t, out.String(), "package flag wrote it too")
		Misused(flags, err.Error(), usage, &out)
		assert.Equal(t, "prog: "+err.Error()+"\n\nusage: prog [flags]\nprog -h lists the targets and flags.\n", out.String())
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	flags, _ := newFlags()
	assert.ErrorIs(t, Parse(flags, []string{"-h"}, usage, &out), flag.ErrHelp)
	assert.Equal(t, usage+"\n  -pause none\n    \tnone\n  -wait duration\n    \tfor this duration (default 1m0s)\n", out.String())
}

func TestSignals(t *testing.T) {
	assert.Equal(t, 130, Signaled{os.Interrupt}.ExitCode())
	assert.Equal(t, 143, Signaled{syscall.SIGTERM}.ExitCode())

	ctx, stop := WithSignals(t.Context())
	stop()
	assert.ErrorIs(t, ctx.Err(), context.Canceled)
	assert.ErrorIs(t, context.Cause(ctx), context.Canceled)

	if runtime.GOOS == "windows" || runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("no process can be sent a signal")
	}
	ctx, stop = WithSignals(t.Context())
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Signal(os.Interrupt))
	<-ctx.Done()
	assert.Equal(t, Signaled{os.Interrupt}, context.Cause(ctx))
	assert.EqualError(t, context.Cause(ctx), "got signal interrupt")
}

func TestShow(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond: "1.2s", 12345 * time.Microsecond: "12ms", 1240 * time.Microsecond: "1.2ms", 12345: "12µs",
	} {
		assert.Equal(t, want, Brief(d).String())
	}
	assert.Equal(t, "0 looks, 1 look, 2 looks", Count(0, "look")+", "+Count(1, "look")+", "+Count(2, "look"))
}
