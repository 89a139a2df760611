// Package dashboard reads the panels of a Grafana dashboard.
package dashboard

import (
	"encoding/json"
	"os"
	"strings"
)

// A Panel is one diagram.
type Panel struct {
	Title   string
	Unit    string // Grafana's: ops, short, s
	Log     bool   // the scale is logarithmic
	Queries []Query
}

// A Query makes the series of a panel.
type Query struct {
	Expr   string // PromQL with Grafana's variables
	Legend string // with the labels' names in double braces
}

// Read reads the panels of the dashboard in a file.
func Read(file string) ([]Panel, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d struct {
		Panels []struct {
			Title       string
			FieldConfig struct {
				Defaults struct {
					Unit   string
					Custom struct{ ScaleDistribution struct{ Type string } }
				}
			}
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, err
	}
	var panels []Panel
	for _, p := range d.Panels {
		defaults := p.FieldConfig.Defaults
		panel := Panel{Title: p.Title, Unit: defaults.Unit, Log: defaults.Custom.ScaleDistribution.Type == "log"}
		for _, t := range p.Targets {
			panel.Queries = append(panel.Queries, Query{t.Expr, t.LegendFormat})
		}
		panels = append(panels, panel)
	}
	return panels, nil
}

// PromQL returns the query as Grafana sends it with all jobs and dialers selected, and with
// interval as its $__rate_interval.
func (q Query) PromQL(interval string) string {
	return strings.NewReplacer("$job", ".*", "$dialer", ".*", "$__rate_interval", interval).Replace(q.Expr)
}

// LegendOf returns the legend of a series with the given labels.
func (q Query) LegendOf(labels map[string]string) string {
	legend := q.Legend
	for name, value := range labels {
		legend = strings.ReplaceAll(legend, "{{"+name+"}}", value)
	}
	return legend
}
