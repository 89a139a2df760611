package explain_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/explain"
)

// Error takes any error of a dial, whoever made it.
func ExampleError() {
	_, err := dialtest.Script(dialtest.NXDomain).DialContext(context.Background(), "tcp", "db.exmaple:5432")
	observed, _, _ := strings.Cut(explain.Error(err), "\n") // what to check follows, with this system's commands
	fmt.Println(observed)
	// Output: The DNS server 192.0.2.53:53 knows no address of db.exmaple: no such name, or no A or AAAA record.
}
