//go:build !js && !wasip1

package redial_test

import (
	"fmt"
	"io"
	"log"
	"net"

	"github.com/seed-33f8b841/redial"
)

func ExampleClassify() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := server.Addr().String()
	server.Close() // now nothing listens on the port

	_, err = net.Dial("tcp", address)
	fmt.Println(redial.Classify(err))
	_, err = net.Dial("tcp", "127.0.0.1")
	fmt.Println(redial.Classify(err))
	fmt.Println(redial.Classify(fmt.Errorf("query: %w", io.ErrUnexpectedEOF)))
	// Output:
	// refused
	// invalid
	// reset
}
