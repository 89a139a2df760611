package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Parse parses flags, which can stand before, between and after the other arguments. It gives
// the others to take as they come, with all that follow; take returns how many of them it has
// used. After "--" there are no flags. Parse shows the help on out if the flags ask for it
// (flag.ErrHelp). Its errors show no password.
func Parse(flags *flag.FlagSet, args []string, usage string, out io.Writer, take func(args []string) (int, error)) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for noFlags := false; len(args) > 0; {
		if !noFlags && len(args[0]) > 1 && args[0][0] == '-' {
			rest, err := parseFlags(flags, args, usage, out)
			if err != nil {
				return err
			}
			noFlags = args[len(args)-len(rest)-1] == "--"
			args = rest
			continue
		}
		n, err := take(args)
		if err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// parseFlags parses the flags at the beginning of args, and returns the rest.
func parseFlags(flags *flag.FlagSet, args []string, usage string, out io.Writer) ([]string, error) {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage+"\n")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil, err
	case err != nil:
		return nil, errors.New(Foreign(Redact(err.Error())))
	}
	return flags.Args(), nil
}

// Misused says what is wrong with the arguments, and how to learn what is right.
func Misused(flags *flag.FlagSet, problem error, usage string, out io.Writer) {
	synopsis, _, _ := strings.Cut(usage, "\n")
	fmt.Fprintf(out, "%s: %v\n\n%s\n%s -h lists the targets and flags.\n", flags.Name(), problem, synopsis, flags.Name())
}
