// This file draws views: a bar chart as PNG, a page as PDF, rows as CSV.

package tableautest

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
)

// regions are the bars of every chart, and the rows of all data.
var regions = []string{"Central", "East", "North", "South", "West"}

// sales makes up a value for each region, from 20 to 99.
func sales(seed string) []int {
	values := make([]int, len(regions))
	for i, region := range regions {
		h := fnv.New32a()
		_, _ = h.Write([]byte(seed + "/" + region))
		values[i] = 20 + int(h.Sum32()%80)
	}
	return values
}

// csvOf is the data of a view, with a column for who looks at it.
func csvOf(seed, user string) string {
	var b strings.Builder
	b.WriteString("Region,Sales,Seen By\n")
	for i, v := range sales(seed) {
		fmt.Fprintf(&b, "%s,%d,%q\n", regions[i], v, user)
	}
	return b.String()
}

const (
	chartWidth, chartHeight = 400, 250
	chartMargin             = 20
)

// chart draws the data as bars, in a colour that depends on who looks at it.
func chart(seed, user string) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, chartWidth, chartHeight))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	bar := image.NewUniform(colorOf(user))
	slot := (chartWidth - 2*chartMargin) / len(regions)
	for i, v := range sales(seed) {
		left := chartMargin + i*slot + slot/8
		box := image.Rect(left, chartHeight-chartMargin-2*v, left+slot*3/4, chartHeight-chartMargin)
		draw.Draw(img, box, bar, image.Point{}, draw.Src)
	}
	axis := image.Rect(chartMargin, chartHeight-chartMargin, chartWidth-chartMargin, chartHeight-chartMargin+2)
	draw.Draw(img, axis, image.NewUniform(color.Gray{Y: 64}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func colorOf(user string) color.Color {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))
	sum := h.Sum32()
	return color.RGBA{R: uint8(sum) / 2, G: uint8(sum>>8) / 2, B: 128 + uint8(sum>>16)/2, A: 255} //nolint:gosec // some bits of a hash
}

// page is a PDF of one page with a few lines of text.
func page(lines ...string) []byte {
	var text strings.Builder
	text.WriteString("BT /F1 18 Tf 72 720 Td 24 TL\n")
	for _, line := range lines {
		fmt.Fprintf(&text, "(%s) Tj T*\n", pdfText(line))
	}
	text.WriteString("ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", text.Len(), text.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	return pdf(objects)
}

// pdf writes numbered objects and the table of their offsets.
func pdf(objects []string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var table strings.Builder
	fmt.Fprintf(&table, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for i, object := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", table.String(), len(objects)+1, start)
	return b.Bytes()
}

// pdfText escapes a string; what is not ASCII becomes a question mark.
func pdfText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`()\`, r) {
			return '?'
		}
		return r
	}, s)
}
