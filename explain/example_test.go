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

// For returns the parts. A program can group failures by the code.
func ExampleFor() {
	_, err := net.Dial("tcp", "2001:db8::1:5432")
	advice := explain.For(err)
	fmt.Println(advice.Code)
	fmt.Println(advice.Observed)
	fmt.Println(advice.Checks[0].Question)
	// Output:
	// invalid.brackets-missing
	// The address "2001:db8::1:5432" is an IPv6 address without brackets.
	// An IPv6 address needs brackets, and a port after them: did you mean [2001:db8::1]:5432?
}
