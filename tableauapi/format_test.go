package tableauapi

import "testing"

func TestNegotiateFormat(t *testing.T) {
	tests := []struct {
		name   string
		accept []string
		first  byte
		want   Format
	}{
		{"no Accept, no body", nil, 0, XML},
		{"no Accept, XML body", nil, '<', XML},
		{"no Accept, JSON body", nil, '{', JSON},
		{"empty Accept, JSON body", []string{""}, '{', JSON},
		{"Tableau Server Client: */*", []string{"*/*"}, '<', XML},
		{"*/* and a JSON body", []string{"*/*"}, '{', JSON},
		{"*/* with a weight and a JSON body", []string{"*/*;q=0.8"}, '{', JSON},
		{"application/* and a JSON body", []string{"application/*"}, '{', JSON},
		{"application/* alone", []string{"application/*"}, 0, XML},
		{"JSON", []string{"application/json"}, '<', JSON},
		{"JSON in capitals with a charset", []string{"Application/JSON; charset=utf-8"}, 0, JSON},
		{"axios", []string{"application/json, text/plain, */*"}, 0, JSON},
		{"httr", []string{"application/json, text/xml, application/xml, */*"}, '<', JSON},
		{"JSON in a second header", []string{"text/html", "application/json"}, 0, JSON},
		{"XML and a JSON body", []string{"application/xml"}, '{', XML},
		{"XML preferred to JSON is still JSON, as at Tableau", []string{"application/xml, application/json;q=0.1"}, 0, JSON},
		{"JSON refused", []string{"application/json;q=0, */*"}, 0, XML},
		{"JSON refused in three digits", []string{"application/json; q=0.000"}, '<', XML},
		{"refused JSON does not count against a JSON body", []string{"application/json;q=0"}, '{', JSON},
		{"a broken weight counts as one", []string{"application/json;q=x"}, 0, JSON},
		{"a vendor type is not JSON", []string{"application/vnd.tableau+json"}, '{', XML},
		{"a longer name is not JSON", []string{"application/jsonp"}, 0, XML},
		{"browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, 0, XML},
	}
	for _, tt := range tests {
		if got := NegotiateFormat(tt.accept, tt.first); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Tableau's Postman collection compares these strings.
func TestContentType(t *testing.T) {
	if got := XML.ContentType(); got != "application/xml;charset=utf-8" {
		t.Error(got)
	}
	if got := JSON.ContentType(); got != "application/json;charset=utf-8" {
		t.Error(got)
	}
}
