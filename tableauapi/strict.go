package tableauapi

// This file reads bodies without trusting them: XML or JSON becomes one tree,
// in which every name has one value, or an error.

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The bounds of a body. Real ones have a KiB or two and five levels.
const (
	maxBody    = 64 << 10 // bytes
	maxDepth   = 32       // levels of elements or objects
	maxMembers = 256      // of one element, object or array
)

const (
	namespace = "http://tableau.com/api"
	// oldNamespace is that of Tableau Server before 9.1.
	oldNamespace = "http://tableausoftware.com/api"
)

var (
	responseNamespaces = []string{namespace, oldNamespace}
	// requestNamespaces: most clients leave the namespace out.
	requestNamespaces = []string{"", namespace, oldNamespace}
)

var (
	errTooLarge  = fmt.Errorf("it is larger than %d KiB", maxBody>>10)
	errTooDeep   = fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	errTooMany   = fmt.Errorf("it has more than %d members in one place", maxMembers)
	errNotUTF8   = errors.New("it is not UTF-8")
	errEmpty     = errors.New("it is empty")
	errNoFormat  = errors.New("it is neither XML nor JSON")
	errRepeated  = errors.New("a name is there twice in one place")
	errWrongRoot = errors.New("it is XML, but not Tableau's: the root element or its namespace is another")
)

// A kind is what a value is.
type kind uint8

const (
	kindNull   kind = iota
	kindText        // a JSON string, an XML attribute
	kindBool        // JSON only; the text is "true" or "false"
	kindNumber      // JSON only
	kindList        // JSON only; its items are not kept
	kindObject      // a JSON object, an XML element
)

// A value is one XML element or attribute, or one JSON value. The attributes
// and the children of an element are its members alike, which is how Tableau
// itself turns one format into the other.
type value struct {
	kind    kind
	text    string // of text, bool and number; of an element, its character data
	members []member
}

type member struct {
	name  string
	value *value
}

// has reports whether v has a member of the name.
func (v *value) has(name string) bool {
	for _, m := range v.members {
		if m.name == name {
			return true
		}
	}
	return false
}

// add appends a member, within bounds.
func (v *value) add(name string, m *value) error {
	if len(v.members) >= maxMembers {
		return errTooMany
	}
	v.members = append(v.members, member{name, m})
	return nil
}

// decode reads body, by its first byte, as a JSON object or as an XML document
// with the given root element in one of the namespaces.
func decode(body []byte, root string, namespaces []string) (*value, error) {
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	switch firstByte(body) {
	case '{':
		return decodeJSON(body)
	case '<':
		return decodeXML(bytes.TrimLeft(body, " \t\r\n"), root, namespaces)
	case 0:
		return nil, errEmpty
	default:
		return nil, errNoFormat
	}
}

// firstByte returns the first byte of body that says something about its
// format, or 0.
func firstByte(body []byte) byte {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return 0
	}
	return body[0]
}

// A reader takes members out of a tree and keeps the first thing that is wrong
// with one. Of an absent value, every member is absent.
type reader struct{ err error }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// member returns the one member of v with the name, or nil if there is none or
// it is null.
func (r *reader) member(v *value, name string) *value {
	if v == nil {
		return nil
	}
	var found *value
	for _, m := range v.members {
		if m.name != name {
			continue
		}
		if found != nil {
			r.fail(fmt.Errorf("%s is there twice", name))
		}
		found = m.value
	}
	if found != nil && found.kind == kindNull {
		return nil
	}
	return found
}

// object returns the member of v with the name, which has to be an object.
func (r *reader) object(v *value, name string) *value {
	m := r.member(v, name)
	if m != nil && m.kind != kindObject {
		r.fail(fmt.Errorf("%s has the wrong type: it has to be an object", name))
		return nil
	}
	return m
}

// text returns the text of v's member with the name, "" if there is none.
func (r *reader) text(v *value, name string) string {
	m := r.member(v, name)
	if m != nil && m.kind == kindObject && len(m.members) > 0 {
		r.fail(fmt.Errorf("%s has the wrong type: it has to be text", name))
		return ""
	}
	return r.content(m, name)
}

// content returns the text of v itself, where v is text, an element, or an
// object with the text as its "value".
func (r *reader) content(v *value, name string) string {
	switch {
	case v == nil:
		return ""
	case v.kind == kindText:
		return v.text
	case v.kind == kindObject && v.has("value"):
		return r.text(v, "value")
	case v.kind == kindObject:
		return v.text
	default:
		r.fail(fmt.Errorf("%s has the wrong type: it has to be text", name))
		return ""
	}
}

// flag returns the text of a member that is a boolean, or text.
func (r *reader) flag(v *value, name string) string {
	if m := r.member(v, name); m != nil && m.kind == kindBool {
		return m.text
	}
	return r.text(v, name)
}

// inContext says which body an error is about.
func inContext(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }
