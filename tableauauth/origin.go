package tableauauth

// This file says what a Tableau origin is, and holds requests to it.

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ParseOrigin reads a Tableau origin: a scheme, a host and an optional port,
// nothing else. Both http and https are origins; whether http may be used is
// the caller's to decide. The error says what to leave out.
func ParseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("the origin is not a URL such as https://10ax.online.tableau.com")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, fmt.Errorf("the origin %q is not a URL such as https://10ax.online.tableau.com", u.Redacted())
	case u.User != nil:
		return nil, errors.New("the origin holds a user name or password: leave it out, credentials have an option of their own")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the origin %q has more than scheme, host and port: leave out what follows (the path comes from each request)", u.Redacted())
	case u.Hostname() == "" || strings.ContainsAny(u.Host, "{}"):
		return nil, fmt.Errorf("the origin %q has no fixed host", u.Redacted())
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// checkOrigin reports a request that is not for origin, as an *OriginError.
func checkOrigin(req *http.Request, origin *url.URL) error {
	if req.URL.Scheme == origin.Scheme && (req.URL.Host == origin.Host || authority(req.URL) == authority(origin)) {
		return nil
	}
	return &OriginError{Want: origin.String(), Got: req.URL.Scheme + "://" + req.URL.Host}
}

// authority returns the host in lower case with its port.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
