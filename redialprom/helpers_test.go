package redialprom_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialprom"
)

func TestMain(m *testing.M) { testutil.Main(m) }

const address = "a.test:80"

// series are the values of series by name and labels. Histograms have their count as _count, and
// their sum as _sum.
type series map[string]float64

// seriesOf returns the series of m that are not zero, without the label dialer.
func seriesOf(t testing.TB, m prometheus.Collector) series {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(m))
	families, err := registry.Gather()
	require.NoError(t, err)
	all := series{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				if l.GetName() != "dialer" {
					labels = append(labels, fmt.Sprintf("%s=%s", l.GetName(), l.GetValue()))
				}
			}
			add := func(suffix string, value float64) {
				if value != 0 {
					all[fmt.Sprintf("%s%s{%s}", f.GetName(), suffix, strings.Join(labels, ","))] = value
				}
			}
			add("", metric.GetCounter().GetValue()+metric.GetGauge().GetValue())
			add("_count", float64(metric.GetHistogram().GetSampleCount()))
			add("_sum", metric.GetHistogram().GetSampleSum())
		}
	}
	return all
}

// of returns the series whose names begin with one of the prefixes.
func (s series) of(prefixes ...string) series {
	some := series{}
	for name, value := range s {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				some[name] = value
			}
		}
	}
	return some
}

// instrumented returns a Dialer that reports to the Metrics, and logs nothing.
func instrumented(d redial.Dialer) (*redial.Dialer, *redialprom.Metrics) {
	m := redialprom.New(redialprom.Opts{})
	d.Logger = zap.NewNop()
	m.Instrument(&d, "test")
	return &d, m
}

// every returns a function that makes schedules in which every delay is d.
func every(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

// A join is several collectors as one.
type join []prometheus.Collector

func (j join) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range j {
		c.Describe(descs)
	}
}

func (j join) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range j {
		c.Collect(metrics)
	}
}

// used returns Metrics in which every metric has a series.
func used(t testing.TB) *redialprom.Metrics {
	d, m := instrumented(redial.Dialer{MaxAttempts: 1})
	_, err := d.Dial("tcp", "127.0.0.1:99999")
	require.Error(t, err)
	d.OnAttempt(t.Context(), redial.Attempt{Shared: true})
	_, port, err := net.SplitHostPort(testutil.RefusingAddress(t, "tcp"))
	require.NoError(t, err)
	_, err = d.Dial("tcp", "localhost:"+port)
	require.Error(t, err)
	d.OnLost(t.Context(), redial.Loss{Err: io.EOF, Class: redial.Reset})
	return m
}
