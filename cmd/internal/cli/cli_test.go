package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"runtime"
	"strings"
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

// taken returns a take that appends to list, and uses two arguments for "two".
func taken(list *[]string) func(args []string) (int, error) {
	return func(args []string) (int, error) {
		switch args[0] {
		case "wrong":
			return 0, errors.New("it is wrong")
		case "two":
			*list = append(*list, args[0]+" "+args[1])
			return 2, nil
		}
		*list = append(*list, args[0])
		return 1, nil
	}
}

func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "1m0s ",
		"-wait 1m30s":                    "1m30s ",
		"a:1 -wait=2s b:2":               "2s a:1,b:2",
		"-wait 1s a:1 b:2 -pause 3s":     "1s a:1,b:2",
		"two a:1 -wait=2s - b:2":         "2s two a:1,-,b:2",
		"a:1 -- b:2 -wait=2s":            "1m0s a:1,b:2,-wait=2s",
		"-wait 1s -- -pause -- -wait=2s": "1s -pause,--,-wait=2s",
	} {
		flags, d := newFlags()
		var list []string
		assert.NoError(t, Parse(flags, strings.Fields(args), usage, nil, taken(&list)), args)
		assert.Equal(t, want, d.String()+" "+strings.Join(list, ","), args)
	}
	flags, _ := newFlags()
	assert.EqualError(t, Parse(flags, []string{"a:1", "wrong", "-other"}, usage, nil, taken(new([]string))), "it is wrong")
}

func TestWrongFlags(t *testing.T) {
	for arg, want := range map[string]string{
		"-wait=30":           `invalid value "30" for flag -wait: it lacks a unit: write 30s for seconds, 30m for minutes`,
		"-wait=1.5":          "write 1.5s for seconds",
		"-wait=soon":         "write a number and its unit, such as 30s, 500ms or 2m",
		"-wait=http://u:p@h": `invalid value "http://u:xxxxx@h" for flag -wait`,
		"-other":             "flag provided but not defined: -other",
		"-\x1b[31m":          `flag provided but not defined: -\x1b[31m`,
		"-http://u:p@h":      "not defined:xxxxx@h",
	} {
		var out bytes.Buffer
		flags, _ := newFlags()
		err := Parse(flags, []string{arg}, usage, &out, nil)
		assert.ErrorContains(t, err, want)
		assert.Empty(t, out.String(), "package flag wrote it too")
		Misused(flags, err, usage, &out)
		assert.Equal(t, "prog: "+err.Error()+"\n\nusage: prog [flags]\nprog -h lists the targets and flags.\n", out.String())
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	flags, _ := newFlags()
	assert.ErrorIs(t, Parse(flags, []string{"a:1", "-h"}, usage, &out, taken(new([]string))), flag.ErrHelp)
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
	assert.Equal(t, "0 looks, 1 look, 2 looks", Count(0, "look")+", "+Count(1, "look")+", "+Count(2, "look"))
	for d, want := range map[time.Duration]string{
		time.Minute: "1 minute", 119 * time.Minute: "119 minutes", 47 * time.Hour: "47 hours", 72 * time.Hour: "3 days",
	} {
		assert.Equal(t, want, Age(d))
	}
}

func TestForeign(t *testing.T) {
	for text, want := range map[string]string{
		"db:5432 \"quoted\" \\ é 世": "db:5432 \"quoted\" \\ é 世",
		"a\x1b]0;title\x07b":        `a\x1b]0;title\ab`,
		"db:5432\r\nnext":           `db:5432\r\nnext`,
		"C1 \u009b31m":              `C1 \u009b31m`,
		"\u202egnirts":              `\u202egnirts`,
		"\xff\x9b":                  `\xff\x9b`,
		"zero\u200bwidth":           `zero\u200bwidth`,
	} {
		assert.Equal(t, want, Foreign(text))
	}
	long := Foreign("begin " + strings.Repeat("\x1b", 1<<20) + " end")
	assert.Less(t, len(long), 5*longest)
	assert.True(t, strings.HasPrefix(long, "begin ") && strings.HasSuffix(long, " end"), long)
	assert.Len(t, Foreign(strings.Repeat("x", longest)), longest)
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"http://u:p@h/x":     "http://u:xxxxx@h/x",
		"http://u:p@q@h/x":   "http://u:xxxxx@h/x",
		"http://u:@h/x":      "http://u:xxxxx@h/x",
		"http://u@h/x":       "http://u@h/x",
		"http://h:1/x@y":     "http://h:1/x@y",
		"http://u:p/q@h":     "http://u:xxxxx@h",
		"u:p@h:1":            "u:xxxxx@h:1",
		"u@h:1":              "u@h:1",
		"/u:p@h":             "/u:xxxxx@h",
		"db:5432":            "db:5432",
		"http://u:p p@[h%/x": "http://u:xxxxx@[h%/x",
		"http://u r:p@h":     "http:xxxxx@h",
		"-http://u:p@h":      "-http:xxxxx@h",

		`invalid value "http://u:p@h" for flag -x`:    `invalid value "http://u:xxxxx@h" for flag -x`,
		`invalid value "http://u:p q@r@h" for`:        `invalid value "http://u:xxxxx@h" for`,
		`invalid value "u:p@h:1" for flag -x`:         `invalid value "u:xxxxx@h:1" for flag -x`,
		`invalid value "30" for flag -x: parse error`: `invalid value "30" for flag -x: parse error`,
	} {
		assert.Equal(t, want, Redact(text), text)
	}
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "ü…": 2, "e\u0301": 1, "世界": 4, "ａ": 2, "한글": 4, "🚀": 2} {
		assert.Equal(t, want, Width(text), text)
		assert.Equal(t, max(want, 5), Width(Pad(text, 5)), text)
		assert.Equal(t, text, Cut(text, want))
		assert.Equal(t, text, CutLeft(text, want))
	}
	assert.Equal(t, "a世", Cut("a世界", 4))
	assert.Equal(t, "界a", CutLeft("世界a", 4))
	assert.Empty(t, Cut("a", -1)+CutLeft("a", -1)+Cut("世", 1)+CutLeft("世", 1))
}
