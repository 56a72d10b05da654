package tableauapi

// This file reads JSON into a tree, and refuses what encoding/json lets pass:
// names that are there twice, and names that differ in case only.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var errTrailing = errors.New("there is something behind its end")

func decodeJSON(body []byte) (*value, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := readJSON(d, 0)
	if err != nil {
		return nil, hideJSON(d, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}

// readJSON reads one value at the given depth.
func readJSON(d *json.Decoder, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case string:
		return &value{kind: kindText, text: t}, nil
	case bool:
		return &value{kind: kindBool, text: fmt.Sprint(t)}, nil
	case json.Number:
		return &value{kind: kindNumber, text: t.String()}, nil
	case json.Delim:
		if t == '{' {
			return readJSONObject(d, depth)
		}
		return readJSONList(d, depth)
	default:
		return &value{}, nil
	}
}

// readJSONObject reads what follows "{", and refuses a name that is there
// twice: readers differ in which of the two counts.
func readJSONObject(d *json.Decoder, depth int) (*value, error) {
	v := &value{kind: kindObject}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := name.(string) // the decoder lets nothing else stand here
		if v.has(key) {
			return nil, errRepeated
		}
		m, err := readJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		if err := v.add(key, m); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // "}"
	return v, err
}

// readJSONList reads what follows "[" and forgets it: nothing that is read
// from Tableau or from clients stands in a list.
func readJSONList(d *json.Decoder, depth int) (*value, error) {
	for d.More() {
		if _, err := readJSON(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // "]"
	return &value{kind: kindList}, err
}

// hideJSON replaces an error of the decoder, which may quote what it read, by
// the place where it happened.
func hideJSON(d *json.Decoder, err error) error {
	for _, ours := range []error{errTooDeep, errTooMany, errRepeated} {
		if errors.Is(err, ours) {
			return ours
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is JSON that ends too early")
	}
	return fmt.Errorf("it is not well-formed JSON (near byte %d)", d.InputOffset())
}

// encodeJSON writes v as Tableau does: on one line, without HTML escapes.
// Invalid UTF-8 becomes U+FFFD.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // structs of strings and booleans can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
