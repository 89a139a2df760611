package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.Main(m, func(address string) error { return http.ListenAndServe(address, new(stub)) })
}

// A stub is an S3 server with one bucket, which keeps its objects in memory. It puts, gets, and tells
// that the bucket exists. It checks no signatures, and knows no lists, versions, parts or metadata.
type stub struct{ objects sync.Map }

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodHead:
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.objects.Store(r.URL.Path, body)
	case http.MethodGet:
		body, ok := s.objects.Load(r.URL.Path)
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
			return
		}
		w.Write(body.([]byte))
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

var bucket, key = aws.String("bucket"), aws.String("key")

// check returns an operation that asks whether the bucket exists.
func check(client *s3.Client) kit.Operation {
	return func(ctx context.Context) error {
		_, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket})
		return err
	}
}

func newClient(d *redial.Dialer, address string) *s3.Client {
	return s3.New(options("http://"+address), through(d))
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "AWS S3",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			o := options("http://" + addresses[0])
			o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DialContext = d.DialContext })
			return check(s3.New(o))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return check(newClient(d, addresses[0]))
		},
	}.Run(t)
}

// An object is put although the server is not up yet, and is what has been put.
func TestObject(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	kit.Self(t, address).LaunchAfter(t, 300*time.Millisecond)
	client := newClient(&redial.Dialer{Logger: zap.NewNop()}, address)
	text := strings.Repeat("hello ", 100_000)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(text)})
	require.NoError(t, err)
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	require.NoError(t, err)
	body, err := io.ReadAll(object.Body)
	require.NoError(t, err)
	assert.True(t, bytes.Equal([]byte(text), body))
}

// The SDK still retries what redial does not.
func TestOwnRetriesStay(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]struct {
		status  int   // of the first answer
		failure error // of the first dial
	}{
		"status": {status: http.StatusServiceUnavailable},
		"dial that redial does not retry": {status: http.StatusOK, failure: &net.OpError{
			Op: "dial", Net: "tcp", Err: errors.New("an error that no class is known for"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dials, requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					w.WriteHeader(first.status)
				}
			}))
			t.Cleanup(server.Close)
			d := &redial.Dialer{Logger: zap.NewNop()}
			d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1) == 1 && first.failure != nil {
					return nil, first.failure
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			assert.NoError(t, check(newClient(d, server.Listener.Addr().String()))(t.Context()))
			assert.EqualValues(t, 3, dials.Load()+requests.Load(), "one of the first kind failed")
		})
	}
}

// With the SDK's own retryer, an operation without a deadline would make three dials of 30 s.
func TestDialIsNotRepeated(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp4")
	var dials kit.Dials
	d := &redial.Dialer{MaxElapsed: 500 * time.Millisecond, Logger: zap.NewNop(), OnDial: dials.OnDial}
	err := check(newClient(d, address))(t.Context())
	t.Log(err)
	failed, ok := errors.AsType[*redial.Error](err)
	require.True(t, ok)
	assert.Equal(t, redial.ErrMaxElapsed, failed.Stop)
	assert.Equal(t, 1, dials.Begun())
}

// The timeout of the SDK's HTTP client also ends the dial, before the program would learn nothing but that.
func TestTimeout(t *testing.T) {
	t.Parallel()
	o := options("http://" + testutil.RefusingAddress(t, "tcp4"))
	o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(time.Second)
	err := check(s3.New(o, through(&redial.Dialer{Logger: zap.NewNop()})))(t.Context())
	t.Log(err)
	failed, ok := errors.AsType[*redial.Error](err)
	require.True(t, ok)
	assert.Equal(t, redial.Refused, failed.Class)
}
