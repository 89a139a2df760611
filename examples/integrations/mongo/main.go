// Command mongo connects the MongoDB driver through redial, and pings the server:
//
//	go run ./mongo mongodb://127.0.0.1:27017
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// clientOptions returns the options of a client that dials through d. The driver watches each server by
// itself, dials again each half a second, and keeps operations waiting. It tells them why only once a dial
// has failed. So d makes one attempt for each of the driver's.
func clientOptions(d *redial.Dialer, uri string) *options.ClientOptions {
	once := *d
	once.MaxAttempts = 1
	return options.Client().ApplyURI(uri).SetDialer(&once)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	uri := "mongodb://127.0.0.1:27017"
	if len(os.Args) > 1 {
		uri = os.Args[1]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: log}
	client, err := mongo.Connect(clientOptions(d, uri))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer client.Disconnect(ctx)
	if err := client.Ping(ctx, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("connected")
}
