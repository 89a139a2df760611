//go:build !unix

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("The report needs a Unix system.")
	os.Exit(1)
}
