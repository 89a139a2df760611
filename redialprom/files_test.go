package redialprom_test

// The files beside the code: the dashboard, the alerts, the docs.

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/redialprom"
)

// described returns the names that a Collector's Describe gives, and for each its labels. The names
// of histograms are there with their suffixes too.
func described(t *testing.T) map[string][]string {
	all := map[string][]string{}
	descs := make(chan *prometheus.Desc, 100)
	redialprom.New(redialprom.Opts{}).Describe(descs)
	close(descs)
	pattern := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: {([\w,]*)}`)
	for desc := range descs {
		parts := pattern.FindStringSubmatch(desc.String())
		require.Len(t, parts, 3, "%v", desc)
		labels := append(strings.Split(parts[2], ","), "job", "instance")
		all[parts[1]] = labels
		if strings.HasSuffix(parts[1], "_seconds") {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				all[parts[1]+suffix] = append(slices.Clone(labels), "le")
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}

// expressions returns the PromQL of the dashboard's panels, as Grafana sends it with everything selected.
func expressions(t *testing.T) (exprs []string) {
	content, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	variables := strings.NewReplacer("$job", ".*", "$instance", ".*", "$dialer", ".*", "$__rate_interval", "5m")
	for _, p := range dashboard.Panels {
		assert.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			exprs = append(exprs, variables.Replace(target.Expr))
		}
	}
	return exprs
}

// The dashboard and the alerts ask for metrics, labels and values that exist.
func TestNamesExist(t *testing.T) {
	known := described(t)
	alerts, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	raw, err := os.ReadFile("dashboard.json") // its variables ask for metrics too
	require.NoError(t, err)
	text := strings.Join(append(expressions(t), string(alerts), string(raw)), "\n")
	name := regexp.MustCompile(`\bredial_\w+`)
	grouping := regexp.MustCompile(`\bby \(([^)]*)\) \((?:rate\(|increase\()?(redial_\w+)`)
	selector := regexp.MustCompile(`\b(redial_\w+)\{([^}]*)\}`)
	matcher := regexp.MustCompile(`(\w+)(?:=|!=|=~|!~)"([^"]*)"`)
	values := map[string][]string{"outcome": outcomes(), "result": {"ok", "failed", "canceled"}}

	used := map[string]bool{}
	for _, n := range name.FindAllString(text, -1) {
		assert.Contains(t, known, n)
		used[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(n, "")] = true
	}
	for n := range known {
		assert.True(t, used[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(n, "")], "%s is in no panel and no alert", n)
	}
	for _, g := range grouping.FindAllStringSubmatch(text, -1) {
		for _, label := range strings.Split(g[1], ", ") {
			assert.Contains(t, known[g[2]], label, g[0])
		}
	}
	for _, s := range selector.FindAllStringSubmatch(strings.ReplaceAll(text, `\"`, `"`), -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			assert.Contains(t, known[s[1]], m[1], s[0])
			if all := values[m[1]]; all != nil {
				for value := range strings.SplitSeq(m[2], "|") {
					assert.Contains(t, all, value, s[0])
				}
			}
		}
	}
}

// promtool runs promtool, from the Debian package prometheus.
func promtool(t *testing.T, args ...string) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("there is no promtool")
	}
	out, err := exec.Command("promtool", args...).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

func TestAlerts(t *testing.T) {
	promtool(t, "check", "rules", "alerts.yml")
	promtool(t, "test", "rules", "alerts_test.yml")
}

// The PromQL of the dashboard parses: as rules, because promtool checks these.
func TestDashboardParses(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, expr := range expressions(t) {
		fmt.Fprintf(&rules, "      - {record: 'panel:%d', expr: '%s'}\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, []byte(rules.String()), 0o600))
	promtool(t, "check", "rules", file)
}

// The tables of the metrics in the package's doc and in the README are complete.
func TestDocs(t *testing.T) {
	for _, file := range []string{"doc.go", "README.md"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for name, labels := range described(t) {
			if strings.HasSuffix(name, "_bucket") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") {
				continue
			}
			if labels = labels[1 : len(labels)-2]; len(labels) > 0 { // without dialer, job and instance
				name += "{" + strings.Join(labels, ",") + "}"
			}
			assert.Contains(t, string(content), name, file)
		}
		for _, name := range regexp.MustCompile(`\bredial_\w+`).FindAllString(string(content), -1) {
			assert.Contains(t, described(t), name, file)
		}
	}
}
