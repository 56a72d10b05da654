// This file reads the proxy's own errors as a strict client of Tableau would.

package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"testing"
)

// problem is what an answer of the proxy's own says.
type problem struct{ code, summary, detail string }

// readProblem reads an error in the shape of Tableau's, strictly.
func readProblem(t *testing.T, a answer) problem {
	t.Helper()
	switch contentType := a.header.Get("Content-Type"); contentType {
	case "application/xml;charset=utf-8":
		return readXMLProblem(t, a.body)
	case "application/json;charset=utf-8":
		return readJSONProblem(t, a.body)
	default:
		t.Fatalf("Content-Type %q of status %d is neither of Tableau's:\n%s", contentType, a.status, a.body)
		return problem{}
	}
}

func readXMLProblem(t *testing.T, body []byte) problem {
	t.Helper()
	var said struct {
		XMLName xml.Name `xml:"http://tableau.com/api tsResponse"`
		Error   []struct {
			Code    string `xml:"code,attr"`
			Summary string `xml:"http://tableau.com/api summary"`
			Detail  string `xml:"http://tableau.com/api detail"`
		} `xml:"http://tableau.com/api error"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&said); err != nil {
		t.Fatalf("%v in:\n%s", err, body)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("something follows the document:\n%s", body)
	}
	if len(said.Error) != 1 {
		t.Fatalf("%d errors in:\n%s", len(said.Error), body)
	}
	return problem{said.Error[0].Code, said.Error[0].Summary, said.Error[0].Detail}
}

func readJSONProblem(t *testing.T, body []byte) problem {
	t.Helper()
	var said struct {
		Error *struct {
			Code    *string `json:"code"`
			Summary *string `json:"summary"`
			Detail  *string `json:"detail"`
		} `json:"error"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		t.Fatalf("%v in:\n%s", err, body)
	}
	if decoder.More() || said.Error == nil || said.Error.Code == nil || said.Error.Summary == nil || said.Error.Detail == nil {
		t.Fatalf("not the shape of Tableau's errors:\n%s", body)
	}
	return problem{*said.Error.Code, *said.Error.Summary, *said.Error.Detail}
}
