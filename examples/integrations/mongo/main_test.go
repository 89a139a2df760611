package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a stub of MongoDB's protocol. It answers each command, whatever it is, as a mongos answers
// hello. So it has no data, no replicas and no sessions, and pushes no news of its state.
func serve(address string) error {
	hello, err := bson.Marshal(bson.M{
		"ok": 1, "msg": "isdbgrid", "isWritablePrimary": true, "helloOk": true, "minWireVersion": 0, "maxWireVersion": 21,
		"maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 1 << 25, "maxWriteBatchSize": 1000,
	})
	if err != nil {
		return err
	}
	return kit.Serve(address, func(conn net.Conn) { session(conn, hello) })
}

// The operations of the protocol. The driver's first message on a connection is an opQuery, so that old
// servers understand it.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func session(conn net.Conn, answer []byte) error {
	r := bufio.NewReader(conn)
	for {
		var header struct{ Length, Request, ResponseTo, Operation uint32 }
		if err := binary.Read(r, binary.LittleEndian, &header); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, int64(header.Length)-16); err != nil {
			return err
		}
		var body []byte
		switch header.Operation {
		case opQuery:
			body = make([]byte, 20) // flags, cursor, start
			body[16] = 1            // the number of documents
			header.Operation = opReply
		case opMsg:
			body = make([]byte, 5) // flags, and the kind of the section: a document
		default:
			return fmt.Errorf("operation %d", header.Operation)
		}
		body = append(body, answer...)
		header.Length, header.ResponseTo = uint32(16+len(body)), header.Request
		packet, err := binary.Append(nil, binary.LittleEndian, header)
		if err != nil {
			return err
		}
		if _, err := conn.Write(append(packet, body...)); err != nil {
			return err
		}
	}
}

func TestSuite(t *testing.T) {
	uri := func(addresses []string) string { return "mongodb://" + strings.Join(addresses, ",") }
	operation := func(t *testing.T, o *options.ClientOptions) kit.Operation {
		client, err := mongo.Connect(o)
		require.NoError(t, err)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			client.Disconnect(ctx)
		})
		return func(ctx context.Context) error { return client.Ping(ctx, nil) }
	}
	kit.Suite{
		Client: "MongoDB",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return operation(t, options.Client().ApplyURI(uri(addresses)).SetDialer(d))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Timeout = 3 * time.Second
			return operation(t, clientOptions(d, uri(addresses)))
		},
		Hosts:   true,
		Untyped: true,
		NoGate:  "the driver dials each half a second, however many operations wait",
	}.Run(t)
}
