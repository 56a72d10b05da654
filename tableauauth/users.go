package tableauauth

// This file asks Tableau who somebody is: the LUID of a user, by which
// impersonation names them, and the name of the user of a session.

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// maxKnownUsers bounds how many users are remembered.
	maxKnownUsers = 10_000

	// maxLookUps is how many sessions may die while they look a user up.
	maxLookUps = 3

	// ownerTimeout bounds the question whose session it is, which decides
	// nothing but what the record says.
	ownerTimeout = 5 * time.Second
)

// knownUsers remembers answers of Tableau's, for a site and a name or LUID.
type knownUsers struct {
	mu    sync.Mutex
	known map[userKey]string
}

type userKey struct{ site, user string }

func (k *knownUsers) get(site, user string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	answer, ok := k.known[userKey{site, user}]
	return answer, ok
}

// put remembers an answer, in the place of any other if there are too many.
func (k *knownUsers) put(site, user, answer string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[userKey]string)
	}
	for other := range k.known {
		if len(k.known) < maxKnownUsers {
			break
		}
		delete(k.known, other)
	}
	k.known[userKey{site, user}] = answer
}

// drop forgets an answer and reports whether there was one.
func (k *knownUsers) drop(site, user string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.known[userKey{site, user}]
	delete(k.known, userKey{site, user})
	return ok
}

// userID returns the LUID of g's user. Where it is not known yet, a session of
// the account's own asks for it, and ends before another begins. Should that
// session die in between, which says nothing about the account, another asks.
func (p *Pool) userID(ctx context.Context, g Grant, proof Proof) (id string, failure *SignInError) {
	if id, ok := p.userIDs.get(g.Site, g.User); ok {
		return id, nil
	}
	for range maxLookUps {
		if id, failure = p.lookUp(ctx, g, proof); failure == nil {
			p.userIDs.put(g.Site, g.User, id)
			return id, nil
		}
		if failure.Tableau == nil || !endedCode(failure.Tableau.Code) {
			return "", failure
		}
	}
	failure.Reason = Unavailable
	return "", failure
}

// lookUp asks for the LUID of g's user once.
func (p *Pool) lookUp(ctx context.Context, g Grant, proof Proof) (string, *SignInError) {
	own, failure := p.redeem(ctx, Grant{Site: g.Site}, &proof)
	if failure != nil {
		return "", failure
	}
	own.rarely().actsAs = p.account.Owner()
	id, err := p.client.Load().findUser(ctx, own, g.User)
	p.signOutAll(p.ctx, []*Session{own})
	if err == nil {
		return id, nil
	}
	failure = asSignInError(err, Unreachable)
	if failure.Status == http.StatusForbidden {
		failure.Err = errImpersonation
	}
	return "", failure
}

// owner returns the name of the user of s, or "" if Tableau does not tell.
func (p *Pool) owner(s *Session) string {
	if name := p.account.Owner(); name != "" {
		return name
	}
	if name, ok := p.owners.get(s.terms.site, s.UserID()); ok {
		return name
	}
	ctx, cancel := context.WithTimeout(p.ctx, ownerTimeout)
	defer cancel()
	name, err := p.client.Load().currentUser(ctx, s)
	if err != nil {
		p.opts.Logger.Warn("Tableau does not say whose session it is, so records will not", "session", s, "error", err.Error())
		return ""
	}
	p.owners.put(s.terms.site, s.UserID(), name)
	return name
}

// A userAnswer is one user in an answer.
type userAnswer struct {
	ID   string `xml:"id,attr"`
	Name string `xml:"name,attr"`
}

// findUser returns the LUID of the user with exactly this name on the site of
// s, which has to be an administrator's (Tableau REST API, "Get Users on
// Site"). Tableau finds names without regard to case, and in every domain: what
// is not one user, spelled as asked for, is none.
func (c *Client) findUser(ctx context.Context, s *Session, name string) (luid string, err error) {
	var answer struct {
		XMLName xml.Name     `xml:"tsResponse"`
		Users   []userAnswer `xml:"users>user"`
	}
	query := url.Values{"filter": {"name:eq:" + name}}
	if err := c.ask(ctx, s, "/sites/"+s.SiteID()+"/users?"+query.Encode(), &answer); err != nil {
		return "", err
	}
	var like string
	for _, u := range answer.Users {
		switch {
		case u.Name != name && strings.EqualFold(u.Name, name):
			like = u.Name
		case u.Name != name || !tableauapi.IsLUID(u.ID):
		case luid != "":
			return "", &SignInError{Reason: Refused, Err: fmt.Errorf("the site %q has several users named %q, in different domains", s.terms.site, name)}
		default:
			luid = u.ID
		}
	}
	switch {
	case luid != "":
		return luid, nil
	case like != "":
		return "", &SignInError{Reason: Refused, Err: fmt.Errorf("the site %q has no user named %q, but %q: map the identity to that spelling", s.terms.site, name, like)}
	default:
		return "", &SignInError{Reason: Refused, Err: fmt.Errorf("the site %q has no user named %q: add the user at Tableau, or map the identity to another", s.terms.site, name)}
	}
}

// currentUser returns the name of the user of s.
func (c *Client) currentUser(ctx context.Context, s *Session) (string, error) {
	var answer struct {
		XMLName xml.Name `xml:"tsResponse"`
		Session struct {
			User userAnswer `xml:"user"`
		} `xml:"session"`
	}
	if err := c.ask(ctx, s, "/sessions/current", &answer); err != nil {
		return "", err
	}
	user := answer.Session.User
	if !strings.EqualFold(user.ID, s.UserID()) || CheckUser(user.Name) != nil {
		return "", errors.New("the answer is about another user, or has no name that could be one")
	}
	return user.Name, nil
}

// ask makes a GET request as s and reads the XML that comes back into answer.
// Its error is a *SignInError.
func (c *Client) ask(ctx context.Context, s *Session, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	res, err := c.call(ctx, http.MethodGet, "/api/"+s.terms.apiVersion+path, s.token, nil)
	switch {
	case err != nil:
		return networkError(ctx, err)
	case res.status != http.StatusOK:
		return refusedBy(res, Proof{}).without(s.token)
	}
	if err := xml.Unmarshal(res.body, answer); err != nil {
		return &SignInError{Reason: Nonsense, Status: res.status, Err: errors.New("the answer is not Tableau's XML")}
	}
	return nil
}
