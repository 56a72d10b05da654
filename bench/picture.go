package main

// This file draws the picture: two bars for each variant.

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// The colours of the bars can be told apart by people who see no red or green.
var (
	colourCPU  = color.RGBA{R: 0xd5, G: 0x5e, A: 0xff}
	colourRate = color.RGBA{G: 0x72, B: 0xb2, A: 0xff}
)

// draw writes the picture of what was measured with small answers.
func (r *results) draw(path string) error {
	var rows []row
	for _, row := range r.Requests {
		if len(row.Pairs) > 0 && row.name != nameDirect {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.Reverse(rows) // bars are drawn from the bottom
	names := make([]string, len(rows))
	cpu, rate := make(plotter.Values, len(rows)), make(plotter.Values, len(rows))
	for i, row := range rows {
		names[i], cpu[i], rate[i] = row.name, row.cpu().Median, row.rate().Median
	}

	p := plot.New()
	p.Title.Text = "1 KiB answers, to plain Caddy's reverse_proxy (1.0)"
	p.X.Label.Text = "less processor time is better, more requests per second are better"
	p.NominalY(names...)
	p.Legend.Top = true
	p.Title.Padding = vg.Points(8)
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant, style.Font.Size = "Sans", vg.Points(9)
	}
	const width = 7
	for _, bars := range []struct {
		name   string
		values plotter.Values
		colour color.Color
		offset vg.Length
	}{
		{"processor time of a request", cpu, colourCPU, width / 2.0},
		{"requests per second", rate, colourRate, -width / 2.0},
	} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(width))
		if err != nil {
			return err
		}
		chart.Horizontal, chart.Offset, chart.Color = true, bars.offset, bars.colour
		chart.LineStyle.Width = 0
		p.Add(chart)
		p.Legend.Add(bars.name, chart)
	}
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(rows)) - 0.5}})
	if err != nil {
		return err
	}
	one.Color = color.Gray{Y: 0x60}
	p.Add(one)
	p.X.Min, p.X.Max = 0, 1.05*max(1, slices.Max(cpu), slices.Max(rate))
	return p.Save(8*vg.Inch, vg.Length(1.5*vg.Inch)+vg.Length(len(rows))*vg.Points(24), path)
}
