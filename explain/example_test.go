package explain_test

import (
	"fmt"
	"net"
	"strings"

	"github.com/seed-33f8b841/redial/explain"
)

// Error takes any error of a dial, whoever made it.
func ExampleError() {
	err := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
		Err: "no such host", Name: "db.exmaple", Server: "192.0.2.53:53", IsNotFound: true,
	}}
	observed, _, _ := strings.Cut(explain.Error(err), "\n") // what to check follows, with this system's commands
	fmt.Println(observed)
	// Output: The DNS server 192.0.2.53:53 knows no address of db.exmaple: no such name, or no A or AAAA record.
}
