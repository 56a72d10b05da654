package caddymodule

// This file publishes what Tableau has to know of an issuer of ours: where its
// public keys are, and the keys.

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// The well-known documents. Which of the two descriptions of an issuer Tableau
// fetches depends on the node that it runs on, so both are needed.
const (
	wellKnownOpenID = "/.well-known/openid-configuration"
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	wellKnownJWKS   = "/.well-known/jwks.json"

	// issuerMaxAge is for how long, in seconds, the documents may be kept. It
	// bounds how long a key has to be published before it may sign.
	issuerMaxAge = 300
)

// Issuer publishes the public keys of an `oauth_trust` credential of this
// configuration, where Tableau looks for them: below the issuer's URL, which
// must lead here. It answers GET and HEAD for
//
//   - `/.well-known/openid-configuration`
//   - `/.well-known/oauth-authorization-server`
//   - `/.well-known/jwks.json`
//
// and leaves every other path to the handlers after it. If the issuer's URL has
// a path, it stands before these paths, and, for the second, behind it as well
// (RFC 8414, section 3). Nothing that is published is secret, and Tableau
// fetches it without credentials: as a directive of a Caddyfile, this handler
// comes before those that authenticate.
type Issuer struct {
	// Which issuer, as in its credential. Default: the only one there is.
	Issuer string `json:"issuer,omitempty"`

	documents func() (map[string]document, error) // by path, made at the first use
}

// A document is one of the things to publish.
type document struct {
	body []byte
	etag string
}

// CaddyModule returns the Caddy module information.
func (Issuer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.tableau_issuer",
		New: func() caddy.Module { return new(Issuer) },
	}
}

// Provision makes the app check, when all credentials are known, that there is
// one for this handler.
func (i *Issuer) Provision(ctx caddy.Context) error {
	issuer, err := resolve(caddy.NewReplacer(), "issuer", i.Issuer)
	if err != nil {
		return err
	}
	value, err := ctx.App("tableau")
	if err != nil {
		return err
	}
	app := value.(*App)
	i.documents = sync.OnceValues(func() (map[string]document, error) { return app.issuers.documents(issuer) })
	app.issuers.handlers = append(app.issuers.handlers, i)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	documents, err := i.documents()
	if err != nil {
		return err
	}
	found, ok := documents[r.URL.Path]
	if !ok {
		return next.ServeHTTP(w, r)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("%s of what can only be read", r.Method))
	}
	header := w.Header()
	// RFC 8414 wants this type. For a JWK Set, RFC 7517 has one of its own, but
	// this is what the issuers that Tableau is used with send.
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", issuerMaxAge))
	header.Set("ETag", found.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.body))
	return nil
}

// issuers is what the oauth_trust credentials of a configuration publish, and
// where. It is complete when the app starts.
type issuers struct {
	keys     map[string][]tableauauth.SigningKey // by issuer
	handlers []*Issuer
}

// publish adds the keys of a credential. Several credentials may share an
// issuer, one for each site of Tableau, and its keys.
func (s *issuers) publish(o *tableauauth.OAuthTrust) error {
	keys := s.keys[o.Issuer()]
	for _, key := range o.Keys() {
		at := slices.IndexFunc(keys, func(k tableauauth.SigningKey) bool { return k.ID() == key.ID() })
		if at >= 0 && !bytes.Equal(keys[at].JWK(), key.JWK()) {
			return fmt.Errorf("key %q: another oauth_trust credential of the issuer %s has a different key of this name: give each key a kid of its own", key.ID(), o.Issuer())
		}
		if at < 0 {
			keys = append(keys, key)
		}
	}
	// In the same order whatever order the credentials came in.
	slices.SortFunc(keys, func(a, b tableauauth.SigningKey) int { return cmp.Compare(a.ID(), b.ID()) })
	if s.keys == nil {
		s.keys = make(map[string][]tableauauth.SigningKey)
	}
	s.keys[o.Issuer()] = keys
	return nil
}

// check reports why a tableau_issuer has nothing to publish, or nil.
func (s *issuers) check() error {
	for _, handler := range s.handlers {
		if _, err := handler.documents(); err != nil {
			return err
		}
	}
	return nil
}

// documents returns what an issuer publishes, by path. An empty issuer is the
// only one there is.
func (s *issuers) documents(issuer string) (map[string]document, error) {
	known := slices.Sorted(maps.Keys(s.keys))
	switch {
	case len(known) == 0:
		return nil, errors.New("tableau_issuer: no tableau_auth or tableau_proxy of this configuration signs in with credentials oauth_trust, so there is no key to publish: add one, or remove tableau_issuer")
	case issuer == "" && len(known) > 1:
		return nil, fmt.Errorf("tableau_issuer: there are several issuers: name one with issuer <url>, of %s", strings.Join(known, ", "))
	case issuer == "":
		issuer = known[0]
	case !slices.Contains(known, issuer):
		return nil, fmt.Errorf("tableau_issuer: no credentials oauth_trust have the issuer %q: name one of %s", issuer, strings.Join(known, ", "))
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	return describeIssuer(issuer, u.Path, s.keys[issuer])
}

// describeIssuer writes the documents of the issuer whose URL has this path.
func describeIssuer(issuer, path string, keys []tableauauth.SigningKey) (map[string]document, error) {
	var algorithms []string
	for _, key := range keys {
		algorithms = append(algorithms, key.Algorithm())
	}
	metadata, err := json.Marshal(map[string]any{
		"issuer":   issuer,
		"jwks_uri": jwksURI(issuer),
		// Nobody signs in here, but libraries that read OpenID Connect
		// Discovery insist on these.
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": slices.Compact(slices.Sorted(slices.Values(algorithms))),
	})
	if err != nil {
		return nil, err
	}
	description := newDocument(metadata)
	base := strings.TrimSuffix(path, "/")
	documents := map[string]document{
		base + wellKnownOpenID: description,
		base + wellKnownOAuth:  description,
		wellKnownOAuth + base:  description,
		base + wellKnownJWKS:   newDocument(tableauauth.JWKSet(keys...)),
	}
	if base != path {
		// Whether the slash is dropped before a path is added, as OpenID
		// Connect Discovery has it, is up to who asks.
		documents[path+wellKnownOpenID] = description
		documents[path+wellKnownOAuth] = description
	}
	return documents, nil
}

// jwksURI is where the keys of issuer are.
func jwksURI(issuer string) string { return strings.TrimSuffix(issuer, "/") + wellKnownJWKS }

func newDocument(body []byte) document {
	digest := sha256.Sum256(body)
	return document{body: body, etag: `"` + hex.EncodeToString(digest[:16]) + `"`}
}

// parseIssuer sets up an [Issuer]. See [Issuer.UnmarshalCaddyfile].
func parseIssuer(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Issuer)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	tableau_issuer [<matcher>] {
//		issuer <url>
//	}
func (i *Issuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if option := d.Val(); option != "issuer" {
			return d.Errf("unknown option %q of tableau_issuer: there is issuer", option)
		}
		if err := unmarshalOnce(d, &i.Issuer); err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Issuer)(nil)
	_ caddyhttp.MiddlewareHandler = (*Issuer)(nil)
	_ caddyfile.Unmarshaler       = (*Issuer)(nil)
)
