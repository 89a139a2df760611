package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A promServer is a Prometheus server that scrapes one target.
type promServer struct {
	url  string
	stop func()
}

// startPrometheus starts a Prometheus server on loopback, and waits until it is ready.
func startPrometheus(ctx context.Context, target string) (*promServer, error) {
	dir, err := os.MkdirTemp("", "picture")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	yml := fmt.Sprintf("scrape_configs:\n  - job_name: storm\n    scrape_interval: %v\n    scrape_timeout: %[1]v\n    static_configs: [{targets: ['%s']}]\n",
		scrapeInterval, target)
	if err := os.WriteFile(config, []byte(yml), 0o600); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		return nil, err
	}
	address := ln.Addr().String()
	ln.Close()
	var log bytes.Buffer
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	s := &promServer{url: "http://" + address, stop: func() {
		cmd.Process.Signal(os.Interrupt)
		<-exited
		os.RemoveAll(dir)
	}}
	deadline := time.After(30 * time.Second)
	for {
		if _, err := s.get(ctx, "/-/ready"); err == nil {
			return s, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-exited:
			err = fmt.Errorf("prometheus has exited:\n%s", log.Bytes())
		case <-deadline:
			err = errors.New("prometheus is not ready after 30 s")
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.stop()
		return nil, err
	}
}

// get returns the body of the answer to a GET request.
func (s *promServer) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// A series is one series of an answer.
type series struct {
	labels map[string]string
	points []point
}

// A point is a value at a time since the first point of the picture. NaN and infinite values are left out.
type point struct {
	at    time.Duration
	value float64
}

// queryRange asks for the values of query from begin to end.
func (s *promServer) queryRange(ctx context.Context, query string, begin, end time.Time) ([]series, error) {
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	body, err := s.get(ctx, "/api/v1/query_range?"+url.Values{
		"query": {query}, "start": {seconds(begin)}, "end": {seconds(end)}, "step": {step.String()},
	}.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any // a time in seconds, and a number as text
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	var all []series
	for _, r := range answer.Data.Result {
		one := series{labels: r.Metric}
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, err
			}
			if value-value == 0 { // neither NaN nor infinite
				one.points = append(one.points, point{time.Duration((at - float64(begin.UnixMilli())/1000) * float64(time.Second)).Round(time.Millisecond), value})
			}
		}
		if len(one.points) > 0 {
			all = append(all, one)
		}
	}
	return all, nil
}
