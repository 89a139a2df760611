// Package cli is what the programs probe and waitfor share on the command line: flags,
// signals, terminals, and how to print texts that come from outside.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"
)

// A duration is a flag.Value. Unlike the durations of package flag, it tells the
// user of a bare number which unit to add.
type duration time.Duration

// Duration adds a flag that takes a duration.
func Duration(flags *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	flags.Var((*duration)(p), name, usage)
}

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if err == nil {
		*d = duration(parsed)
		return nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return fmt.Errorf("it lacks a unit: write %ss for seconds, %sm for minutes", text, text)
	}
	return errors.New("write a number and its unit, such as 30s, 500ms or 2m")
}
