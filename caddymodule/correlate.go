package caddymodule

// This file names a request to whoever it passes, so that the records of one can
// be joined with those of the other.

import (
	"errors"
	"net/http"
	"strings"
)

// headerRequestID names a request to whoever it passes.
const headerRequestID = "X-Request-Id"

// Ways in which the option correlate names a request to Tableau.
const (
	correlateHeaders   = "headers"
	correlateUserAgent = "user_agent"
)

// correlations are what the option correlate asks for.
type correlations struct{ headers, userAgent bool }

// checkCorrelate reads the option.
func checkCorrelate(ways []string) (c correlations, err error) {
	for _, way := range ways {
		switch way {
		case correlateHeaders:
			c.headers = true
		case correlateUserAgent:
			c.userAgent = true
		default:
			return c, errors.New("correlate: there are headers and user_agent")
		}
	}
	return c, nil
}

// An observed is what is known of a request for its records and for Tableau's.
type observed struct {
	sink       *auditSink
	correlates correlations
	request    *http.Request // as it came in
	id         string        // ours, see requestID
	sent       int           // how often it went to Tableau

	mappedBy string // what gave it its Tableau user
	rule     string // which decided about it, in the words of the configuration
	policy   string // of which group of people that was; "" if it was everybody's

	agent            string // the client's User-Agent
	clientRequestID  string
	tableauRequestID string
}

// observe notes where the records of x go, and how its sender names it. Its
// answer gets our own id, if that is wanted.
func (x *exchange) observe(a *App, w http.ResponseWriter, r *http.Request) {
	x.sink, x.correlates, x.request = a.sink, a.correlates, r
	if x.sink != nil || x.correlates != (correlations{}) {
		x.id = requestID(r) // drawn only for who has a use for it: each takes 16 random bytes
	}
	x.agent, x.clientRequestID = r.UserAgent(), strings.Join(r.Header[headerRequestID], ", ")
	if x.correlates.headers {
		w.Header()[headerRequestID] = []string{x.id}
	}
}

// correlate returns req with what names it at Tableau.
func (x *exchange) correlate(req *http.Request) *http.Request {
	if !x.correlates.headers && !x.correlates.userAgent {
		return req
	}
	req = req.WithContext(req.Context())
	req.Header = req.Header.Clone()
	if x.correlates.headers {
		req.Header[headerRequestID] = []string{x.id}
	}
	if x.correlates.userAgent {
		req.Header["User-Agent"] = []string{strings.TrimSpace(req.UserAgent() + " caddy-tableau (" + x.id + ")")}
	}
	return req
}
