package tableauauth

// This file keeps once what many sessions have in common.

import (
	"slices"
	"strings"
	"sync"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// maxTerms bounds how many are kept. There are as many as sites times scope
// sets; more than that, and something else differs, which is not shared then.
const maxTerms = 4096

// commonTerms are the terms of a pool's sessions.
type commonTerms struct {
	mu    sync.Mutex
	known map[termsKey]*terms
}

type termsKey struct{ site, scopes, siteID, contentURL, apiVersion string }

// terms returns what the session of answer has in common with others.
func (p *Pool) terms(g Grant, proof Proof, answer tableauapi.SignInAnswer) *terms {
	key := termsKey{g.Site, strings.Join(g.Scopes, "\n"), answer.SiteID, answer.ContentURL, proof.APIVersion}
	p.common.mu.Lock()
	defer p.common.mu.Unlock()
	t := p.common.known[key]
	if t != nil && slices.Equal(t.scopes, g.Scopes) {
		return t
	}
	t = &terms{
		began: p.began, site: strings.Clone(g.Site), scopes: slices.Clone(g.Scopes),
		siteID: answer.SiteID, contentURL: answer.ContentURL, apiVersion: proof.APIVersion,
	}
	if len(p.common.known) < maxTerms {
		if p.common.known == nil {
			p.common.known = make(map[termsKey]*terms)
		}
		p.common.known[key] = t
	}
	return t
}
