// This file has the table of what a browser sends for a page of another origin.

package wire

import (
	"maps"
	"slices"
	"strings"
)

// A browsing is what a browser says of who asks.
type browsing struct {
	fields []field
	want   want
}

// origins are values of Origin at the host proxy.example.
var origins = map[string]want{
	"http://proxy.example": passes, "https://proxy.example": passes, "https://PROXY.EXAMPLE": passes,
	"https://evil.example": refused, "null": refused, "": refused, "https://proxy.example.evil.example": refused, "https://evil.example/proxy.example": refused,
	"https://proxy.example@evil.example": refused, "https://evil.example#proxy.example": refused, "https://evil.example\\.proxy.example": refused,
	"proxy.example": refused, "https://proxy.example:8443": refused, "https://proxy.example, https://evil.example": refused, "https://proxy.example.": refused,
}

// fetches are values of Sec-Fetch-Site.
var fetches = map[string]want{
	"same-origin": passes, "none": passes,
	"cross-site": refused, "same-site": refused, "Cross-Site": refused, "SAME-ORIGIN": refused, "same-origin, cross-site": refused, "": refused, "x": refused,
}

func browserTable(add func(message)) {
	var list []browsing
	for _, origin := range slices.Sorted(maps.Keys(origins)) {
		w := origins[origin]
		list = append(list, browsing{[]field{{"Origin", origin}}, w},
			browsing{[]field{{"Origin", "https://proxy.example"}, {"Origin", origin}}, w})
		for _, fetch := range slices.Sorted(maps.Keys(fetches)) {
			list = append(list, browsing{[]field{{"Sec-Fetch-Site", fetch}, {"Origin", origin}}, max(w, fetches[fetch])})
		}
	}
	for _, fetch := range slices.Sorted(maps.Keys(fetches)) {
		w := fetches[fetch]
		list = append(list, browsing{[]field{{"Sec-Fetch-Site", fetch}}, w},
			browsing{[]field{{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", fetch}}, w})
	}
	for _, b := range list {
		for _, spell := range []func(string) string{strings.ToLower, strings.ToUpper, alternating} {
			for _, c := range calls {
				for _, h2 := range protocols {
					m := c.message("browsers", h2)
					for _, f := range b.fields {
						m.fields = append(m.fields, field{spell(f.name), f.value})
					}
					m.row = "a page says " + b.fields[len(b.fields)-1].value
					if m.want = max(m.want, b.want); h2 && spell("X") != "x" {
						m = m.relaxed()
					}
					add(m)
				}
			}
		}
	}
}
