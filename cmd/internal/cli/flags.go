package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

// Parse parses the flags, and shows the help if they ask for it (flag.ErrHelp).
// Its errors show no password.
func Parse(flags *flag.FlagSet, args []string, usage string, out io.Writer) error {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage+"\n")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return err
	case err != nil:
		return errors.New(target.RedactText(err.Error()))
	}
	return nil
}

// Misused says what is wrong with the arguments, and how to learn what is right.
func Misused(flags *flag.FlagSet, problem, usage string, out io.Writer) {
	synopsis, _, _ := strings.Cut(usage, "\n")
	fmt.Fprintf(out, "%s: %s\n\n%s\n%s -h lists the targets and flags.\n", flags.Name(), problem, synopsis, flags.Name())
}
