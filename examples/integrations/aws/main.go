// Command aws connects the S3 client of aws-sdk-go-v2 through redial, and prints an object. The endpoint is
// S3's or the one of a server like it; the credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:
//
//	go run ./aws http://127.0.0.1:9000 bucket key
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// through makes an S3 client dial through d. It is an option for s3.New and s3.NewFromConfig, and keeps what the
// SDK's own HTTP client and retryer have been set to. An http.Client of the program's own needs
// redial.NewTransport instead.
func through(d *redial.Dialer) func(*s3.Options) {
	return func(o *s3.Options) {
		if client, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			d := *d
			if timeout := client.GetTimeout(); timeout > 0 && d.MaxElapsed == 0 {
				d.MaxElapsed = min(timeout, 30*time.Second) // no context has the client's timeout
			}
			o.HTTPClient = attached{client.WithTransportOptions(func(t *http.Transport) { t.DialContext = d.DialContext })}
		}
		if own, ok := o.Retryer.(aws.RetryerV2); ok {
			o.Retryer = retryer{own}
		}
	}
}

// attached ties each request's dial to the request, because net/http detaches it.
type attached struct{ aws.HTTPClient }

func (a attached) Do(req *http.Request) (*http.Response, error) {
	return a.HTTPClient.Do(req.WithContext(redial.Attach(req.Context())))
}

// A retryer is the SDK's own, but does not retry what the dial has retried.
type retryer struct{ aws.RetryerV2 }

func (r retryer) IsErrorRetryable(err error) bool {
	if failed, ok := errors.AsType[*redial.Error](err); ok && failed.Stop != redial.ErrPermanent {
		return false
	}
	return r.RetryerV2.IsErrorRetryable(err)
}

// options returns the options of a client of a server like S3.
func options(endpoint string) s3.Options {
	return s3.Options{
		BaseEndpoint: aws.String(endpoint),
		UsePathStyle: true, // the bucket is not part of the host's name
		Region:       cmp.Or(os.Getenv("AWS_REGION"), "us-east-1"),
		Credentials: credentials.NewStaticCredentialsProvider(
			cmp.Or(os.Getenv("AWS_ACCESS_KEY_ID"), "test"), cmp.Or(os.Getenv("AWS_SECRET_ACCESS_KEY"), "test"), ""),
	}
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	endpoint, bucket, key := "http://127.0.0.1:9000", "bucket", "key"
	if len(os.Args) > 3 {
		endpoint, bucket, key = os.Args[1], os.Args[2], os.Args[3]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Logger: log}
	client := s3.New(options(endpoint), through(d))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer object.Body.Close()
	if _, err := io.Copy(os.Stdout, object.Body); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
