// This file reads request bodies, XML or JSON by their first byte.

package tableautest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
)

// maxPayload bounds every body that is not a file.
const maxPayload = 1 << 20

const detailMalformed = "Payload is either malformed or incomplete."

// readBody reads a bounded body.
func (x *exchange) readBody() ([]byte, *apiError) {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxPayload+1))
	if err != nil {
		return nil, badRequest(detailMalformed).because("reading the body: %v", err)
	}
	if len(body) > maxPayload {
		return nil, fail(codeTooLarge, summaryBadRequest, "The payload is too large.")
	}
	return body, nil
}

// readPayload reads a body into v, which has tags for both formats.
func (x *exchange) readPayload(v any) *apiError {
	body, apiErr := x.readBody()
	if apiErr != nil {
		return apiErr
	}
	x.jsonBody = firstByte(body) == '{'
	if err := parsePayload(body, v); err != nil {
		return badRequest(detailMalformed).because("%v", err)
	}
	return nil
}

func parsePayload(body []byte, v any) error {
	switch firstByte(body) {
	case '{':
		return json.Unmarshal(body, v)
	case '<':
		return parseXML(body, v)
	default:
		return errors.New("neither XML nor JSON")
	}
}

// parseXML refuses document type declarations, and anything behind the root.
func parseXML(body []byte, v any) error {
	tokens := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, ok := token.(xml.Directive); ok {
			return errors.New("document type declarations are not allowed")
		}
	}
	return xml.Unmarshal(body, v)
}

// signInPayload is the wire form of a sign-in.
type signInPayload struct {
	XMLName     xml.Name `xml:"tsRequest" json:"-"`
	Credentials *struct {
		Name      string   `xml:"name,attr" json:"name"`
		Password  string   `xml:"password,attr" json:"password"`
		PATName   string   `xml:"personalAccessTokenName,attr" json:"personalAccessTokenName"`
		PATSecret string   `xml:"personalAccessTokenSecret,attr" json:"personalAccessTokenSecret"`
		JWT       string   `xml:"jwt,attr" json:"jwt"`
		IsUAT     flexBool `xml:"isUat,attr" json:"isUat"`
		Site      struct {
			ContentURL string `xml:"contentUrl,attr" json:"contentUrl"`
		} `xml:"site" json:"site"`
		User struct {
			ID string `xml:"id,attr" json:"id"`
		} `xml:"user" json:"user"`
	} `xml:"credentials" json:"credentials"`
}

// flexBool is true only for true and "true"; published clients send all
// kinds of strings here.
type flexBool bool

// UnmarshalText reads an XML attribute.
func (b *flexBool) UnmarshalText(text []byte) error {
	*b = string(text) == "true"
	return nil
}

// UnmarshalJSON reads a boolean or a string.
func (b *flexBool) UnmarshalJSON(data []byte) error {
	text := string(data)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	*b = text == "true"
	return nil
}

func (x *exchange) readSignIn() (signInRequest, *apiError) {
	var p signInPayload
	if err := x.readPayload(&p); err != nil {
		return signInRequest{}, err
	}
	if p.Credentials == nil {
		return signInRequest{}, badRequest(detailMalformed).because("no credentials element")
	}
	c := p.Credentials
	return signInRequest{
		name: c.Name, password: c.Password, patName: c.PATName, patSecret: c.PATSecret,
		jwt: c.JWT, isUAT: bool(c.IsUAT), contentURL: c.Site.ContentURL, userID: c.User.ID,
	}, nil
}
