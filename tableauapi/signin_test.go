package tableauapi

import (
	"encoding/xml"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	siteLUID = "9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d"
	userLUID = "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0"
	token    = "AbCdEfGhIjKlMnOpQrStUv|wXyZ0123456789wXyZ0123456789wXyZ|" + siteLUID
)

const capturedXML = `<?xml version='1.0' encoding='UTF-8'?>
<tsResponse xmlns="http://tableau.com/api" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://tableau.com/api https://help.tableau.com/samples/en-us/rest_api/ts-api_3_21.xsd">
  <credentials token="` + token + `" estimatedTimeToExpiration="173:21:12">
    <site id="` + siteLUID + `" contentUrl="mysite"/><user id="` + userLUID + `"/>
  </credentials>
</tsResponse>
`

func TestDecodeSignInAnswer(t *testing.T) {
	tests := map[string]string{
		"XML as captured":      capturedXML,
		"XML of an old server": `<?xml version="1.0" encoding="UTF-8"?><tsResponse xmlns="http://tableausoftware.com/api"><credentials token="` + token + `" estimatedTimeToExpiration="173:21:12"><site id="` + siteLUID + `" contentUrl="mysite"/><user id="` + userLUID + `"/></credentials></tsResponse>`,
		"JSON":                 `{"credentials":{"site":{"id":"` + siteLUID + `","contentUrl":"mysite"},"user":{"id":"` + userLUID + `"},"token":"` + token + `","estimatedTimeToExpiration":"173:21:12"}}`,
		"JSON with more in it": `{"credentials":{"new":[1,{"a":null}],"site":{"id":"` + siteLUID + `","contentUrl":"mysite","state":"Active"},"user":{"id":"` + userLUID + `","admin":true},"token":"` + token + `","estimatedTimeToExpiration":"173:21:12"},"pagination":null}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeSignInAnswer([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Token.Reveal() != token || got.SiteID != siteLUID || got.ContentURL != "mysite" || got.UserID != userLUID || got.EstimatedTimeToExpiration != "173:21:12" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDecodeSignInAnswerOfOldServers(t *testing.T) {
	// A token of 32 characters, the Default site, no time to expiration.
	body := `<tsResponse xmlns="http://tableau.com/api"><credentials token="eIX6mvFsqyansa4KqEI1UwOpS8ggRs2l"><site id="` + siteLUID + `" contentUrl=""/><user id="` + userLUID + `"/></credentials></tsResponse>`
	got, err := DecodeSignInAnswer([]byte(body))
	if err != nil || got.ContentURL != "" || got.EstimatedTimeToExpiration != "" || got.Token.Reveal() != "eIX6mvFsqyansa4KqEI1UwOpS8ggRs2l" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeSignInAnswerRefuses(t *testing.T) {
	good := `{"credentials":{"site":{"id":"` + siteLUID + `","contentUrl":"s"},"user":{"id":"` + userLUID + `"},"token":"TOKEN"}}`
	tests := map[string]struct{ body, want string }{
		"an error":           {`{"error":{"code":"401001","summary":"s","detail":"d"}}`, "no credentials"},
		"an HTML page":       {"<html><body>Sign in</body></html>", "not Tableau's"},
		"an HTML 5 page":     {"<!DOCTYPE html><html>", "DTD"},
		"an empty body":      {"", "empty"},
		"plain text":         {"OK", "neither XML nor JSON"},
		"no token":           {strings.Replace(good, "TOKEN", "", 1), "token is missing"},
		"a null token":       {strings.Replace(good, `"TOKEN"`, "null", 1), "token is missing"},
		"a number as token":  {strings.Replace(good, `"TOKEN"`, "5", 1), "token has the wrong type"},
		"a list as token":    {strings.Replace(good, `"TOKEN"`, `["a"]`, 1), "token has the wrong type"},
		"a space in token":   {strings.Replace(good, "TOKEN", "a b", 1), "characters"},
		"a newline in token": {strings.Replace(good, "TOKEN", `a\r\nX: y`, 1), "characters"},
		"an umlaut in token": {strings.Replace(good, "TOKEN", "ä", 1), "characters"},
		"DEL in token":       {strings.Replace(good, "TOKEN", "\x7f", 1), "characters"},
		"an endless token":   {strings.Replace(good, "TOKEN", strings.Repeat("a", 4097), 1), "longer than 4096"},
		"two tokens":         {strings.Replace(good, `"token"`, `"token":"x","token"`, 1), "twice"},
		"no site":            {strings.Replace(good, `"site"`, `"s"`, 1), "ID of the site is missing"},
		"a site that is text": {
			strings.Replace(good, `{"id":"`+siteLUID+`","contentUrl":"s"}`, `"s"`, 1), "site has the wrong type",
		},
		"no user":            {strings.Replace(good, `"user"`, `"u"`, 1), "ID of the user is missing"},
		"a site of no LUID":  {strings.Replace(good, siteLUID, "../../x", 1), "ID of the site is no LUID"},
		"a user of no LUID":  {strings.Replace(good, userLUID, "12", 1), "ID of the user is no LUID"},
		"a repeated element": {strings.Replace(capturedXML, "<user", `<site id="`+siteLUID+`"/><user`, 1), "site is there twice"},
		"attribute and element": {
			strings.Replace(capturedXML, "<user", `<token>x</token><user`, 1), "token is there twice",
		},
		"credentials deeper": {strings.NewReplacer("<credentials", "<x><credentials", "</credentials>", "</credentials></x>").Replace(capturedXML), "no credentials"},
		"another namespace":  {strings.Replace(capturedXML, `"http://tableau.com/api"`, `"http://tableau.com/apj"`, 1), "not Tableau's"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeSignInAnswer([]byte(tt.body))
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to say %q", err, tt.want)
			}
			if !got.Token.IsZero() {
				t.Error("a token comes with the error")
			}
		})
	}
}

func TestSignInAnswerEncode(t *testing.T) {
	a := SignInAnswer{Token: NewSecret("a|b|" + siteLUID), SiteID: siteLUID, ContentURL: "my&site", UserID: userLUID}
	const wantXML = `<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api"><credentials token="a|b|` + siteLUID + `"><site id="` + siteLUID + `" contentUrl="my&amp;site"/><user id="` + userLUID + `"/></credentials></tsResponse>`
	if got := string(a.Encode(XML)); got != wantXML {
		t.Errorf("XML:\n got %s\nwant %s", got, wantXML)
	}
	a.EstimatedTimeToExpiration = "364:00:42"
	const wantJSON = `{"credentials":{"site":{"id":"` + siteLUID + `","contentUrl":"my&site"},"user":{"id":"` + userLUID + `"},"token":"a|b|` + siteLUID + `","estimatedTimeToExpiration":"364:00:42"}}`
	if got := string(a.Encode(JSON)); got != wantJSON {
		t.Errorf("JSON:\n got %s\nwant %s", got, wantJSON)
	}
}

// The Tableau Server Client needs the namespace, credentials as a direct child
// of the root, and the attributes of all three elements.
func TestSignInAnswerSuitsTheTableauServerClient(t *testing.T) {
	a := SignInAnswer{Token: NewSecret("x"), SiteID: siteLUID, UserID: userLUID}
	body := a.Encode(XML)
	if !strings.HasPrefix(string(body), "<?xml") {
		t.Error("no XML declaration: the namespace would not be looked for")
	}
	var got struct {
		XMLName     xml.Name `xml:"http://tableau.com/api tsResponse"`
		Credentials struct {
			Token string `xml:"token,attr"`
			Site  struct {
				ID         *string `xml:"id,attr"`
				ContentURL *string `xml:"contentUrl,attr"`
			} `xml:"http://tableau.com/api site"`
			User struct {
				ID string `xml:"id,attr"`
			} `xml:"http://tableau.com/api user"`
		} `xml:"http://tableau.com/api credentials"`
	}
	if err := xml.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	c := got.Credentials
	if c.Token != "x" || c.Site.ID == nil || c.Site.ContentURL == nil || *c.Site.ContentURL != "" || c.User.ID != userLUID {
		t.Errorf("got %+v", c)
	}
}

func TestSignInAnswerRoundTrip(t *testing.T) {
	luid := rapid.StringMatching(`[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	rapid.Check(t, func(t *rapid.T) {
		want := SignInAnswer{
			Token:                     NewSecret(rapid.StringMatching(`[!-~]{1,120}`).Draw(t, "token")),
			SiteID:                    luid.Draw(t, "site"),
			ContentURL:                xmlText(t, "url"),
			UserID:                    luid.Draw(t, "user"),
			EstimatedTimeToExpiration: rapid.StringMatching(`([0-9]{1,3}:[0-9]{2}:[0-9]{2})?`).Draw(t, "left"),
		}
		for _, f := range []Format{XML, JSON} {
			got, err := DecodeSignInAnswer(want.Encode(f))
			if err != nil {
				t.Fatal(err)
			}
			if !sameAnswer(got, want) {
				t.Fatalf("%v: got %+v, want %+v", f, got, want)
			}
		}
	})
}

func sameAnswer(a, b SignInAnswer) bool {
	return a.Token.Equal(b.Token) && a.SiteID == b.SiteID && a.ContentURL == b.ContentURL &&
		a.UserID == b.UserID && a.EstimatedTimeToExpiration == b.EstimatedTimeToExpiration
}
