// Picture draws the panels of redialprom's dashboard from what a Prometheus server has scraped:
//
//	go run . -phase 15s
//	prometheus --config.file=prometheus.yml
//	go run ./picture # two minutes later
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A panel is one of the dashboard, as Grafana stores it.
type panel struct {
	Title       string
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct{ Expr, LegendFormat string }
}

func main() {
	file := flag.String("dashboard", "../../redialprom/dashboard.json", "the dashboard")
	out := flag.String("o", "../../docs/dashboard.svg", "the `file` to write")
	server := flag.String("prometheus", "http://127.0.0.1:9090", "the Prometheus server's `URL`")
	span := flag.Duration("span", 2*time.Minute, "how much time the picture shows")
	flag.Parse()
	if err := run(*file, *out, *server, *span); err != nil {
		log.Fatal(err)
	}
}

func run(file, out, server string, span time.Duration) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(content, &dashboard); err != nil {
		return err
	}
	client, err := api.NewClient(api.Config{Address: server})
	if err != nil {
		return err
	}
	end := time.Now()
	during := v1.Range{Start: end.Add(-span), End: end, Step: time.Second}
	var plots []*plot.Plot // of the panels that have data
	for _, p := range dashboard.Panels {
		drawn, err := p.plot(v1.NewAPI(client), during)
		if err != nil {
			return err
		}
		if drawn != nil {
			plots = append(plots, drawn)
		}
	}
	tiles := draw.Tiles{Cols: 2, Rows: (len(plots) + 1) / 2, PadX: vg.Points(8), PadY: vg.Points(8)}
	canvas := vgsvg.New(vg.Points(800), vg.Points(170*float64(tiles.Rows)))
	whole := draw.New(canvas)
	for i, drawn := range plots {
		drawn.Draw(tiles.At(whole, i%2, i/2))
	}
	svg, err := os.Create(out)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(svg); err != nil {
		return err
	}
	return svg.Close()
}

// plot asks the server for the panel's series, and draws them. It returns nil if there are none.
func (p panel) plot(server v1.API, during v1.Range) (*plot.Plot, error) {
	all := plot.New()
	all.Title.Text = p.Title
	all.Y.Min = 0
	all.Y.Label.Text = map[string]string{"ops": "1/s", "s": "s", "percentunit": "share"}[p.FieldConfig.Defaults.Unit]
	all.Legend.Top, all.Legend.TextStyle.Font.Size = true, vg.Points(7)
	all.Legend.Left, all.Legend.XOffs = true, vg.Points(4)
	variables := strings.NewReplacer("$job", ".*", "$instance", ".*", "$dialer", ".*", "$__rate_interval", "4s")
	lines := 0
	for _, target := range p.Targets {
		value, _, _, err := server.QueryRange(context.Background(), variables.Replace(target.Expr), during)
		if err != nil {
			return nil, err
		}
		for _, series := range value.(model.Matrix) {
			var line *plotter.Line
			for _, part := range parts(series, during.Start) {
				if line, err = plotter.NewLine(part); err != nil {
					return nil, err
				}
				line.Color = plotutil.Color(lines)
				all.Add(line)
			}
			if text := legend(target.LegendFormat, series.Metric); line != nil && text != "" {
				all.Legend.Add(text, line)
			}
			lines++
		}
	}
	if lines == 0 {
		return nil, nil
	}
	all.X.Min, all.X.Max = 0, during.End.Sub(during.Start).Seconds()
	all.Y.Max = max(all.Y.Max*1.5, 0.001) // room for the legend
	return all, nil
}

// parts returns the points of a series, in a new part after each gap.
func parts(series *model.SampleStream, start time.Time) (all []plotter.XYs) {
	last := -1.0
	for _, sample := range series.Values {
		x, y := sample.Timestamp.Time().Sub(start).Seconds(), float64(sample.Value)
		if y-y != 0 { // NaN or infinite
			continue
		}
		if all == nil || x-last > 1.5 {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], plotter.XY{X: x, Y: y})
		last = x
	}
	return all
}

// legend fills in the labels. It leaves out those that are the same for all series of the picture.
func legend(format string, labels model.Metric) string {
	format = strings.NewReplacer("{{dialer}}", "", "({{job}} {{instance}})", "").Replace(format)
	for name, value := range labels {
		format = strings.ReplaceAll(format, "{{"+string(name)+"}}", string(value))
	}
	return strings.TrimSpace(format)
}
