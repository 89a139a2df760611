// Package broker runs kfake, a Kafka broker that is a Go package, for the tests of Kafka's clients. It runs
// in a process of its own, so that a test can kill it.
package broker

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

// Topic is a topic that the broker has, with one partition.
const Topic = "greetings"

// dataVariable is the environment variable with the directory where a broker keeps its data.
const dataVariable = "REDIAL_KAFKA_DATA"

// Main is kit.Main for the tests that call New.
func Main(m *testing.M) { kit.Main(m, serve) }

// serve runs a broker. It keeps its data on disk, as Kafka does.
func serve(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	_, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.SeedTopics(1, Topic),
		kfake.DataDir(os.Getenv(dataVariable)))
	if err != nil {
		return err
	}
	select {}
}

// New returns a broker that has not been started, and its address.
func New(t *testing.T) (*kit.Server, string) {
	t.Helper()
	address := kit.FreeAddress(t)
	server := kit.Self(t, address)
	server.Env = append(server.Env, dataVariable+"="+kit.Dir(t, ""))
	return server, address
}
