package tableauauth

// This file holds what the tests share: a simulated Tableau and a pool on it.

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSite   = "finance"
	testOrigin = "https://tableau.example"
	testAPI    = testOrigin + "/api/3.24"
)

// A rig is a simulated Tableau, in memory, with a pool that signs in to it.
type rig struct {
	*tableautest.Tableau
	app  *DirectTrust
	pool *Pool
	// base is what requests go through on their way to the simulator.
	base http.RoundTripper
}

func newRig(t *testing.T, opts tableautest.Options, pool PoolOptions) *rig {
	t.Helper()
	r := &rig{Tableau: tableautest.New(opts)}
	r.base = r.RoundTripper()
	r.app = r.directTrust(t, r.ConnectedApp(testSite).Secrets...)
	if pool.Client.Transport == nil {
		pool.Client.Transport = r.base
	}
	var err error
	r.pool, err = NewPool(Connection{Origin: testOrigin, Credential: r.app}, pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.pool.Close(context.Background()) })
	return r
}

func (r *rig) directTrust(t *testing.T, secrets ...tableautest.AppSecret) *DirectTrust {
	t.Helper()
	var ours []ConnectedAppSecret
	for _, s := range secrets {
		ours = append(ours, ConnectedAppSecret{ID: s.ID, Value: tableauapi.NewSecret(s.Value.Reveal())})
	}
	app, err := NewDirectTrust(r.ConnectedApp(testSite).ClientID, ours...)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func grant(user string) Grant {
	return Grant{Site: testSite, User: user, Scopes: []string{"tableau:content:read"}}
}

// session returns a session of user, which must be had.
func (r *rig) session(t *testing.T, user string) *Session {
	t.Helper()
	s, _, err := r.pool.Get(t.Context(), grant(user))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request makes a request that is to be sent as s.
func (r *rig) request(t *testing.T, s *Session, method, path, body string) (*http.Request, *Binding) {
	t.Helper()
	b := &Binding{Pool: r.pool, Session: s}
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(NewContext(t.Context(), b), method, testAPI+strings.ReplaceAll(path, "{site}", s.SiteID()), content)
	if err != nil {
		t.Fatal(err)
	}
	return req, b
}

// do sends a request as s through a Transport and returns the answer's body.
func (r *rig) do(t *testing.T, s *Session, method, path, body string) (*http.Response, string, error) {
	t.Helper()
	req, _ := r.request(t, s, method, path, body)
	return roundTrip(t, &Transport{Base: r.base}, req)
}

func roundTrip(t *testing.T, rt http.RoundTripper, req *http.Request) (*http.Response, string, error) {
	t.Helper()
	res, err := rt.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content), nil
}

// entries returns the journal's entries of one operation.
func (r *rig) entries(operation string) []tableautest.Entry {
	var found []tableautest.Entry
	for _, e := range r.Journal() {
		if e.Operation == operation {
			found = append(found, e)
		}
	}
	return found
}

// roundTripFunc is a function as an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
