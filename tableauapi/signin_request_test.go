package tableauapi

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The bodies of this table are what public clients send.
func TestDecodeCredentialsOfRealClients(t *testing.T) {
	password := Credentials{Name: "alice", Password: NewSecret("p&w"), Site: "mysite"}
	pat := Credentials{TokenName: "ci", TokenSecret: NewSecret("s3cret"), Site: "mysite"}
	jwt := Credentials{JWT: NewSecret("a.b.c"), Site: "mysite"}
	at := func(c Credentials, site string) Credentials { c.Site = site; return c }

	tests := map[string]struct {
		body string
		want Credentials
	}{
		"TSC, password": {`<tsRequest><credentials name="alice" password="p&amp;w"><site contentUrl="mysite" /></credentials></tsRequest>`, password},
		"TSC, PAT":      {`<tsRequest><credentials personalAccessTokenName="ci" personalAccessTokenSecret="s3cret"><site contentUrl="mysite" /></credentials></tsRequest>`, pat},
		"TSC, JWT":      {`<tsRequest><credentials jwt="a.b.c" isUat="false"><site contentUrl="mysite" /></credentials></tsRequest>`, jwt},
		"VizQL Data Service samples: the site as isUat": {
			`<tsRequest><credentials jwt="a.b.c" isUat="mysite"><site contentUrl="" /></credentials></tsRequest>`, at(jwt, ""),
		},
		"UAT": {
			`<tsRequest><credentials jwt="a.b.c" isUat="true"><site contentUrl="mysite"/></credentials></tsRequest>`,
			Credentials{JWT: NewSecret("a.b.c"), UAT: true, Site: "mysite"},
		},
		"UAT, JSON": {
			`{"credentials":{"jwt":"a.b.c","isUat":true,"site":{"contentUrl":"mysite"}}}`,
			Credentials{JWT: NewSecret("a.b.c"), UAT: true, Site: "mysite"},
		},
		"isUat in capitals means nothing": {`{"credentials":{"jwt":"a.b.c","isUat":"True","site":{"contentUrl":"mysite"}}}`, jwt},
		"isUat is about JWTs":             {`{"credentials":{"name":"alice","password":"p&w","isUat":true,"site":{"contentUrl":"mysite"}}}`, password},
		"impersonation": {
			`<tsRequest><credentials name="alice" password="p&amp;w"><site contentUrl="mysite"/><user id="` + userLUID + `"/></credentials></tsRequest>`,
			Credentials{Name: "alice", Password: NewSecret("p&w"), Site: "mysite", ImpersonateUserID: userLUID},
		},
		"tableau_tools: no contentUrl":  {`<tsRequest><credentials name="alice" password="p&amp;w"><site /></credentials></tsRequest>`, at(password, "")},
		"no site at all":                {`<tsRequest><credentials name="alice" password="p&amp;w"/></tsRequest>`, at(password, "")},
		"tableau-api-lib: null user id": {`{"credentials":{"personalAccessTokenName":"ci","personalAccessTokenSecret":"s3cret","site":{"contentUrl":"mysite"},"user":{"id":null}}}`, pat},
		"empty user id":                 {`<tsRequest><credentials personalAccessTokenName="ci" personalAccessTokenSecret="s3cret"><site contentUrl="mysite"/><user id=""/></credentials></tsRequest>`, pat},
		"null user":                     {`{"credentials":{"personalAccessTokenName":"ci","personalAccessTokenSecret":"s3cret","site":{"contentUrl":"mysite"},"user":null}}`, pat},
		"null and empty kinds beside":   {`{"credentials":{"name":null,"password":"","jwt":null,"isUat":null,"personalAccessTokenName":"ci","personalAccessTokenSecret":"s3cret","site":{"contentUrl":"mysite"}}}`, pat},
		"Postman: id in the site":       {`{"credentials":{"personalAccessTokenName":"ci","personalAccessTokenSecret":"s3cret","site":{"contentUrl":"mysite","id":"x"}}}`, pat},
		"null contentUrl":               {`{"credentials":{"jwt":"a.b.c","site":{"contentUrl":null}}}`, at(jwt, "")},
		"migration SDK: declaration and namespace": {
			"<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<tsRequest xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"http://tableau.com/api\">\r\n  <credentials personalAccessTokenName=\"ci\" personalAccessTokenSecret=\"s3cret\">\r\n    <site contentUrl=\"mysite\" />\r\n  </credentials>\r\n</tsRequest>", pat,
		},
		"Postman: indented by tabs": {"\n\t<tsRequest>\n\t\t<credentials name='alice' password='p&amp;w'>\n\t\t\t<site contentUrl=\"mysite\"></site>\n\t\t</credentials>\n</tsRequest>\n", password},
		"a comment":                 {`<tsRequest><!-- mine --><credentials jwt="a.b.c"><site contentUrl="mysite"/></credentials></tsRequest>`, jwt},
		"byte order mark":           {"\ufeff" + `{"credentials":{"jwt":"a.b.c","site":{"contentUrl":"mysite"}}}`, jwt},
		"a name alone":              {`{"credentials":{"name":"alice","password":""}}`, Credentials{Name: "alice"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeCredentials([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if !sameCredentials(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeCredentialsRefuses(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"nothing":             {"", "empty"},
		"white space":         {" \r\n\t", "empty"},
		"a form":              {"username=alice&password=" + canary, "neither XML nor JSON"},
		"no credentials":      {`<tsRequest><site contentUrl="x"/></tsRequest>`, "no credentials in it"},
		"null credentials":    {`{"credentials":null}`, "no credentials in it"},
		"empty credentials":   {`{"credentials":{"site":{"contentUrl":"x"}}}`, "credentials are empty"},
		"a list":              {`{"credentials":[{"jwt":"` + canary + `"}]}`, "credentials has the wrong type"},
		"text as credentials": {`{"credentials":"` + canary + `"}`, "credentials has the wrong type"},
		"two kinds":           {`{"credentials":{"name":"a","password":"` + canary + `","jwt":"a.b.c"}}`, "more than one kind"},
		"two kinds, halves":   {`{"credentials":{"password":"` + canary + `","personalAccessTokenName":"a"}}`, "more than one kind"},
		"a number as name":    {`{"credentials":{"name":5,"password":"` + canary + `"}}`, "name has the wrong type"},
		"an object as name":   {`{"credentials":{"name":{"value":"a"},"password":"` + canary + `"}}`, "name has the wrong type"},
		"a list as jwt":       {`{"credentials":{"jwt":["` + canary + `"]}}`, "jwt has the wrong type"},
		"true as password":    {`{"credentials":{"name":"a","password":true}}`, "password has the wrong type"},
		"a number as isUat":   {`{"credentials":{"jwt":"` + canary + `","isUat":1}}`, "isUat has the wrong type"},
		"text as site":        {`{"credentials":{"jwt":"` + canary + `","site":"x"}}`, "site has the wrong type"},
		"a number as url":     {`{"credentials":{"jwt":"` + canary + `","site":{"contentUrl":5}}}`, "contentUrl has the wrong type"},
		"text as user":        {`{"credentials":{"jwt":"` + canary + `","user":"x"}}`, "user has the wrong type"},
		"two sites":           {`<tsRequest><credentials jwt="` + canary + `"><site contentUrl="a"/><site contentUrl="b"/></credentials></tsRequest>`, "site is there twice"},
		"two credentials":     {`<tsRequest><credentials jwt="` + canary + `"/><credentials jwt="x"/></tsRequest>`, "credentials is there twice"},
		"an answer":           {capturedXML, "not Tableau's"},
		"names in other case": {`{"Credentials":{"jwt":"` + canary + `"}}`, "no credentials in it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { refused(t, tt.body, tt.want) })
	}
}

func refused(t *testing.T, body, want string) {
	t.Helper()
	got, err := DecodeCredentials([]byte(body))
	if err == nil {
		t.Fatalf("accepted: %+v", got)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to say %q", err, want)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the error quotes a value: %v", err)
	}
	if !sameCredentials(got, Credentials{}) {
		t.Errorf("credentials come with the error: %+v", got)
	}
}

func TestCredentialsEncode(t *testing.T) {
	tests := []struct {
		c                 Credentials
		wantXML, wantJSON string
	}{
		{
			Credentials{JWT: NewSecret("a.b.c"), Site: "mysite"},
			`<tsRequest><credentials jwt="a.b.c"><site contentUrl="mysite"/></credentials></tsRequest>`,
			`{"credentials":{"jwt":"a.b.c","site":{"contentUrl":"mysite"}}}`,
		},
		{
			Credentials{JWT: NewSecret("a.b.c"), UAT: true},
			`<tsRequest><credentials jwt="a.b.c" isUat="true"><site contentUrl=""/></credentials></tsRequest>`,
			`{"credentials":{"jwt":"a.b.c","isUat":true,"site":{"contentUrl":""}}}`,
		},
		{
			Credentials{TokenName: "n", TokenSecret: NewSecret("s")},
			`<tsRequest><credentials personalAccessTokenName="n" personalAccessTokenSecret="s"><site contentUrl=""/></credentials></tsRequest>`,
			`{"credentials":{"personalAccessTokenName":"n","personalAccessTokenSecret":"s","site":{"contentUrl":""}}}`,
		},
		{
			Credentials{Name: "u", Password: NewSecret(`"<&>`), ImpersonateUserID: userLUID},
			`<tsRequest><credentials name="u" password="&#34;&lt;&amp;&gt;"><site contentUrl=""/><user id="` + userLUID + `"/></credentials></tsRequest>`,
			`{"credentials":{"name":"u","password":"\"<&>","site":{"contentUrl":""},"user":{"id":"` + userLUID + `"}}}`,
		},
	}
	for _, tt := range tests {
		if got := string(tt.c.Encode(XML)); got != tt.wantXML {
			t.Errorf("XML:\n got %s\nwant %s", got, tt.wantXML)
		}
		if got := string(tt.c.Encode(JSON)); got != tt.wantJSON {
			t.Errorf("JSON:\n got %s\nwant %s", got, tt.wantJSON)
		}
	}
}

func TestCredentialsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Credentials{Site: xmlText(t, "site")}
		if rapid.Bool().Draw(t, "impersonate") {
			want.ImpersonateUserID = userLUID
		}
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			want.Name, want.Password = xmlText(t, "name"), NewSecret(xmlText(t, "password"))
		case 1:
			want.TokenName, want.TokenSecret = xmlText(t, "token"), NewSecret(xmlText(t, "secret"))
		default:
			want.JWT, want.UAT = NewSecret(xmlText(t, "jwt")), rapid.Bool().Draw(t, "uat")
		}
		for _, f := range []Format{XML, JSON} {
			got, err := DecodeCredentials(want.Encode(f))
			if err != nil {
				t.Fatal(err)
			}
			if !sameCredentials(got, want) {
				t.Fatalf("%v: got another value back", f)
			}
		}
	})
}

func sameCredentials(a, b Credentials) bool {
	return a.Name == b.Name && a.Password.Equal(b.Password) && a.TokenName == b.TokenName &&
		a.TokenSecret.Equal(b.TokenSecret) && a.JWT.Equal(b.JWT) && a.UAT == b.UAT &&
		a.Site == b.Site && a.ImpersonateUserID == b.ImpersonateUserID
}

func TestDecodeSwitchSite(t *testing.T) {
	for body, want := range map[string]string{
		`<tsRequest><site contentUrl="other"/></tsRequest>`:                                   "other",
		`<tsRequest xmlns="http://tableau.com/api"><site contentUrl="a b"/></tsRequest>`:      "a b",
		`<tsRequest><site contentUrl=""/></tsRequest>`:                                        "",
		`<tsRequest><site/></tsRequest>`:                                                      "",
		`{"site":{"contentUrl":"other"}}`:                                                     "other",
		`{"site":{"contentUrl":null}}`:                                                        "",
		"<?xml version='1.0' encoding='utf-8'?><tsRequest><site contentUrl='x'/></tsRequest>": "x",
	} {
		got, err := DecodeSwitchSite([]byte(body))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
	for body, want := range map[string]string{
		"":                          "empty",
		"<tsRequest/>":              "no site in it",
		`{"site":null}`:             "no site in it",
		`{"site":"other"}`:          "site has the wrong type",
		`{"site":{"contentUrl":1}}`: "contentUrl has the wrong type",
		`<tsRequest><site contentUrl="a"/><site contentUrl="b"/></tsRequest>`: "site is there twice",
	} {
		got, err := DecodeSwitchSite([]byte(body))
		if err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
}
