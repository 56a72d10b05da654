package tableauapi

// This file holds what clients send to sign in and to switch sites, as lenient
// as real clients need it and no more.

import "errors"

// MaxSignInBody is the size of the largest sign-in request that is read, in
// bytes. Real ones have less than a KiB, or a few with a large JWT.
const MaxSignInBody = maxBody

// Credentials are one request to sign in. Exactly one kind is filled in.
type Credentials struct {
	// User and password.
	Name     string
	Password Secret

	// Personal access token.
	TokenName   string
	TokenSecret Secret

	// JWT of a Connected App, of an external authorization server or, with
	// UAT, of a unified access token configuration (Tableau Cloud, API 3.27).
	JWT Secret
	UAT bool

	// Site is the content URL of the site; "" is the Default site.
	Site string
	// ImpersonateUserID is the LUID of the user to become, or "". Only server
	// administrators may ask for it, and not with a JWT, which names its user.
	ImpersonateUserID string
}

// Encode returns the body of the request. Values that XML cannot carry
// (control characters, invalid UTF-8) are replaced by U+FFFD, so that the
// sign-in is refused rather than made with other credentials.
func (c Credentials) Encode(f Format) []byte {
	if f == JSON {
		return encodeJSON(jsonRequest{c.jsonCredentials()})
	}
	var attrs []string
	for _, a := range [][2]string{
		{"name", c.Name},
		{"password", c.Password.Reveal()},
		{"personalAccessTokenName", c.TokenName},
		{"personalAccessTokenSecret", c.TokenSecret.Reveal()},
		{"jwt", c.JWT.Reveal()},
	} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	if c.UAT {
		attrs = append(attrs, "isUat", "true")
	}
	var w xmlWriter
	w.open("tsRequest")
	w.open("credentials", attrs...)
	w.empty("site", "contentUrl", c.Site)
	if c.ImpersonateUserID != "" {
		w.empty("user", "id", c.ImpersonateUserID)
	}
	w.shut("credentials")
	w.shut("tsRequest")
	return w.b.Bytes()
}

type jsonRequest struct {
	Credentials jsonCredentials `json:"credentials"`
}

type jsonCredentials struct {
	Name        string    `json:"name,omitempty"`
	Password    string    `json:"password,omitempty"`
	TokenName   string    `json:"personalAccessTokenName,omitempty"`
	TokenSecret string    `json:"personalAccessTokenSecret,omitempty"`
	JWT         string    `json:"jwt,omitempty"`
	UAT         bool      `json:"isUat,omitempty"`
	Site        jsonSite  `json:"site"`
	User        *jsonUser `json:"user,omitempty"`
}

func (c Credentials) jsonCredentials() jsonCredentials {
	j := jsonCredentials{
		Name:        c.Name,
		Password:    c.Password.Reveal(),
		TokenName:   c.TokenName,
		TokenSecret: c.TokenSecret.Reveal(),
		JWT:         c.JWT.Reveal(),
		UAT:         c.UAT,
		Site:        jsonSite{ContentURL: c.Site},
	}
	if c.ImpersonateUserID != "" {
		j.User = &jsonUser{ID: c.ImpersonateUserID}
	}
	return j
}

// DecodeCredentials reads a request to sign in, XML or JSON by its first byte:
// clients label it with any Content-Type, or with none. It takes what public
// clients are known to send: no XML declaration and no namespace; no
// contentUrl, or none of the site, for the Default site; a user whose id is
// null or empty; and any text as isUat, of which only "true" means something.
// Names that it does not know are ignored. The error says what is wrong and
// quotes nothing.
func DecodeCredentials(body []byte) (Credentials, error) {
	root, err := decode(body, "tsRequest", requestNamespaces)
	if err != nil {
		return Credentials{}, inContext("sign-in request", err)
	}
	r := reader{}
	given := r.object(root, "credentials")
	c := Credentials{
		Name:              r.text(given, "name"),
		Password:          NewSecret(r.text(given, "password")),
		TokenName:         r.text(given, "personalAccessTokenName"),
		TokenSecret:       NewSecret(r.text(given, "personalAccessTokenSecret")),
		JWT:               NewSecret(r.text(given, "jwt")),
		Site:              r.text(r.object(given, "site"), "contentUrl"),
		ImpersonateUserID: r.text(r.object(given, "user"), "id"),
	}
	uat := r.flag(given, "isUat") == "true"
	c.UAT = uat && !c.JWT.IsZero()
	if err := c.oneKind(given != nil); err != nil {
		r.fail(err)
	}
	if r.err != nil {
		return Credentials{}, inContext("sign-in request", r.err)
	}
	return c, nil
}

// oneKind says what is wrong unless exactly one kind of credential is there.
func (c Credentials) oneKind(given bool) error {
	kinds := 0
	for _, there := range []bool{
		c.Name != "" || !c.Password.IsZero(),
		c.TokenName != "" || !c.TokenSecret.IsZero(),
		!c.JWT.IsZero(),
	} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds == 1:
		return nil
	case kinds > 1:
		return errors.New("it has more than one kind of credential: send a name and password, a personal access token, or a JWT")
	case given:
		return errors.New("its credentials are empty: send a name and password, a personal access token, or a JWT")
	default:
		return errors.New("there are no credentials in it")
	}
}

// DecodeSwitchSite reads a request to switch to another site and returns that
// site's content URL; "" is the Default site.
func DecodeSwitchSite(body []byte) (contentURL string, err error) {
	root, err := decode(body, "tsRequest", requestNamespaces)
	if err != nil {
		return "", inContext("switch-site request", err)
	}
	r := reader{}
	site := r.object(root, "site")
	contentURL = r.text(site, "contentUrl")
	if site == nil {
		r.fail(errors.New("there is no site in it"))
	}
	if r.err != nil {
		return "", inContext("switch-site request", r.err)
	}
	return contentURL, nil
}
