package tableauapi

// This file reads XML into a tree, with everything refused that a sign-in does
// not need (DTDs, processing instructions), and writes it.

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var (
	errDirective   = errors.New("it has a DTD or another XML directive")
	errInstruction = errors.New("it has an XML processing instruction")
	errOutside     = errors.New("there is something outside of its root element")
)

// An xmlReader builds a tree out of tokens. The root element is the last of
// the open ones to be shut.
type xmlReader struct {
	decoder    *xml.Decoder
	root       string
	namespaces []string

	space string   // the root's namespace
	open  []*value // from the root to the innermost
	top   *value
}

func decodeXML(body []byte, root string, namespaces []string) (*value, error) {
	x := &xmlReader{decoder: xml.NewDecoder(bytes.NewReader(body)), root: root, namespaces: namespaces}
	for {
		at := x.decoder.InputOffset()
		token, err := x.decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && x.top != nil:
			return x.top, nil
		case errors.Is(err, io.EOF):
			return nil, errWrongRoot
		case err != nil:
			return nil, hideXML(err)
		}
		if err := x.take(token, at); err != nil {
			return nil, err
		}
	}
}

// take adds the token that was read at an offset.
func (x *xmlReader) take(token xml.Token, at int64) error {
	switch t := token.(type) {
	case xml.StartElement:
		return x.start(t)
	case xml.EndElement:
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		if len(x.open) > 0 {
			x.open[len(x.open)-1].text += string(t)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errOutside
		}
	case xml.Directive:
		return errDirective
	case xml.ProcInst:
		if t.Target != "xml" || at != 0 {
			return errInstruction
		}
	}
	return nil
}

func (x *xmlReader) start(t xml.StartElement) error {
	element := &value{kind: kindObject}
	switch {
	case len(x.open) >= maxDepth:
		return errTooDeep
	case len(x.open) > 0:
		if err := x.open[len(x.open)-1].add(x.local(t.Name), element); err != nil {
			return err
		}
	case x.top != nil:
		return errOutside
	case t.Name.Local != x.root || !slices.Contains(x.namespaces, t.Name.Space):
		return errWrongRoot
	default:
		x.top, x.space = element, t.Name.Space
	}
	x.open = append(x.open, element)
	return addAttributes(element, t.Attr)
}

// local returns the name of an element in the root's namespace. One of another
// namespace keeps that in its name, so that nobody looks for it.
func (x *xmlReader) local(name xml.Name) string {
	if name.Space != x.space {
		return name.Space + " " + name.Local
	}
	return name.Local
}

// addAttributes adds attributes to an element and refuses one that is there
// twice, which encoding/xml does not. Those with a namespace, and the
// declarations of one, mean nothing to the API.
func addAttributes(element *value, attrs []xml.Attr) error {
	if len(attrs) > maxMembers {
		return errTooMany
	}
	for i, a := range attrs {
		if slices.ContainsFunc(attrs[:i], func(b xml.Attr) bool { return a.Name == b.Name }) {
			return errRepeated
		}
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			continue
		}
		element.members = append(element.members, member{a.Name.Local, &value{kind: kindText, text: a.Value}})
	}
	return nil
}

// hideXML replaces an error of the decoder, which may quote what it read, by
// the line where it happened.
func hideXML(err error) error {
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		return errors.New("it is XML of another version or encoding than 1.0 in UTF-8")
	}
	if strings.Contains(syntax.Msg, "unexpected EOF") {
		return errors.New("it is XML that ends too early")
	}
	return fmt.Errorf("it is not well-formed XML (line %d)", syntax.Line)
}

// An xmlWriter writes elements. Text that XML cannot carry (control
// characters, invalid UTF-8) becomes U+FFFD.
type xmlWriter struct{ b bytes.Buffer }

// open begins an element with the given attributes, names and values in turn.
func (w *xmlWriter) open(name string, attrs ...string) {
	w.tag(name, attrs)
	w.b.WriteByte('>')
}

func (w *xmlWriter) shut(name string) { w.b.WriteString("</" + name + ">") }

// empty writes an element without content.
func (w *xmlWriter) empty(name string, attrs ...string) {
	w.tag(name, attrs)
	w.b.WriteString("/>")
}

// leaf writes an element with text.
func (w *xmlWriter) leaf(name, text string) {
	w.open(name)
	w.escape(text)
	w.shut(name)
}

func (w *xmlWriter) tag(name string, attrs []string) {
	w.b.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		w.b.WriteString(" " + attrs[i] + `="`)
		w.escape(attrs[i+1])
		w.b.WriteByte('"')
	}
}

func (w *xmlWriter) escape(text string) {
	_ = xml.EscapeText(&w.b, []byte(text)) // a buffer takes everything
}

// document returns what was written, behind an XML declaration as Tableau's.
func (w *xmlWriter) document() []byte {
	return append([]byte("<?xml version='1.0' encoding='UTF-8'?>"), w.b.Bytes()...)
}
