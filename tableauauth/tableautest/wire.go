// This file writes Tableau's XML and JSON from one tree.

package tableautest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
)

// Content types exactly as Tableau sends them.
const (
	typeXML  = "application/xml;charset=utf-8"
	typeJSON = "application/json;charset=utf-8"
	typeHTML = "text/html;charset=utf-8"
)

const (
	xmlDeclaration = `<?xml version='1.0' encoding='UTF-8'?>`
	openResponse   = xmlDeclaration + `<tsResponse xmlns="http://tableau.com/api" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ` +
		`xsi:schemaLocation="http://tableau.com/api https://help.tableau.com/samples/en-us/rest_api/ts-api_3_27.xsd">`
	closeResponse = `</tsResponse>`
)

// node is an element in XML and a member in JSON.
type node struct {
	name     string
	attrs    []attr
	children []*node
	text     string
	hasText  bool
	// list makes the children, all of one name, an array in JSON.
	list bool
}

type attr struct{ name, value string }

func at(name, value string) attr { return attr{name, value} }

// el is an element with attributes.
func el(name string, attrs ...attr) *node { return &node{name: name, attrs: attrs} }

// leaf is an element with text.
func leaf(name, text string, attrs ...attr) *node {
	return &node{name: name, text: text, hasText: true, attrs: attrs}
}

// listOf is an element whose children are an array in JSON.
func listOf(name string, items []*node) *node {
	return &node{name: name, children: items, list: true}
}

func (n *node) add(children ...*node) *node {
	n.children = append(n.children, children...)
	return n
}

// attr returns the value of an attribute, or "".
func (n *node) attr(name string) (string, bool) {
	for _, a := range n.attrs {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// encode writes a whole answer with the given children of its root.
func encode(asJSON bool, nodes ...*node) (contentType string, body []byte) {
	var b bytes.Buffer
	if asJSON {
		writeJSONObject(&b, nil, nodes)
		return typeJSON, b.Bytes()
	}
	b.WriteString(openResponse)
	for _, n := range nodes {
		n.writeXML(&b)
	}
	b.WriteString(closeResponse)
	return typeXML, b.Bytes()
}

func (n *node) writeXML(b *bytes.Buffer) {
	b.WriteString("<" + n.name)
	for _, a := range n.attrs {
		b.WriteString(" " + a.name + `="`)
		_ = xml.EscapeText(b, []byte(a.value))
		b.WriteString(`"`)
	}
	if !n.hasText && len(n.children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	if n.hasText {
		_ = xml.EscapeText(b, []byte(n.text))
	}
	for _, child := range n.children {
		child.writeXML(b)
	}
	b.WriteString("</" + n.name + ">")
}

func (n *node) writeJSON(b *bytes.Buffer) {
	switch {
	case n.hasText && len(n.attrs) == 0:
		b.Write(mustJSON(n.text))
	case n.hasText:
		writeJSONObject(b, append([]attr{at("value", n.text)}, n.attrs...), nil)
	case n.list && len(n.children) > 0:
		b.WriteByte('{')
		b.Write(mustJSON(n.children[0].name))
		b.WriteString(":[")
		for i, child := range n.children {
			comma(b, i)
			child.writeJSON(b)
		}
		b.WriteString("]}")
	default:
		writeJSONObject(b, n.attrs, n.children)
	}
}

func writeJSONObject(b *bytes.Buffer, attrs []attr, children []*node) {
	b.WriteByte('{')
	for i, a := range attrs {
		comma(b, i)
		b.Write(mustJSON(a.name))
		b.WriteByte(':')
		b.Write(mustJSON(a.value))
	}
	for i, child := range children {
		comma(b, len(attrs)+i)
		b.Write(mustJSON(child.name))
		b.WriteByte(':')
		child.writeJSON(b)
	}
	b.WriteByte('}')
}

func comma(b *bytes.Buffer, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}

// mustJSON encodes values that cannot fail: strings, maps and slices of such.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// wantsJSON decides the answer's format: JSON where Accept names it; XML
// otherwise, except that a JSON request which does not say what it accepts is
// answered in JSON unless configured otherwise.
func (x *exchange) wantsJSON() bool {
	accept := strings.ToLower(strings.Join(x.r.Header.Values("Accept"), ","))
	if strings.Contains(accept, "application/json") {
		return true
	}
	usable := accept != "" && accept != "*/*"
	return x.jsonBody && !usable && !x.t.opts.Undocumented.XMLForJSONBody
}

// firstByte returns the first byte that is not white space or a byte order
// mark, which tells XML from JSON more reliably than Content-Type does.
func firstByte(body []byte) byte {
	trimmed := bytes.TrimLeft(body, " \t\r\n\ufeff")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}
