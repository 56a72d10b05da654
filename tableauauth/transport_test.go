package tableauauth

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// workbooks is a read that grant's scope covers; users is one it does not.
const (
	workbooks   = "/sites/{site}/workbooks"
	opWorkbooks = "query_workbooks_for_site"
	users       = "/sites/{site}/users"
)

func TestSendsAsTheSession(t *testing.T) {
	r := newRig(t, tableautest.Options{EchoToken: true}, PoolOptions{})
	for _, user := range []string{"alice", "bob"} {
		s := r.session(t, user)
		req, _ := r.request(t, s, http.MethodGet, workbooks, "")
		// What a client could try, in every spelling that some server folds.
		for _, name := range []string{"X-Tableau-Auth", "X_Tableau_Auth", "x.tableau.auth", "Authorization", "Cookie", "Proxy-Authorization"} {
			req.Header[name] = []string{"the client's", "twice"}
		}
		req.Header.Set("Connection", "X-Tableau-Auth")
		req.Trailer = http.Header{"X-Tableau-Auth": {"trailing"}}
		req.Host = "evil.example"
		before := req.Header.Clone()

		res, _, err := roundTrip(t, &Transport{Base: r.base}, req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", user, res, err)
		}
		e := r.entries(opWorkbooks)[len(r.entries(opWorkbooks))-1]
		if e.User != user || e.AuthTokens != 1 || e.Authorization || e.Cookie || len(e.Trailers) != 0 || e.Host != "tableau.example" {
			t.Errorf("%s: Tableau saw %+v", user, e)
		}
		for name := range e.Headers {
			if name != "X-Tableau-Auth" && NormalHeaderName(name) == "x-tableau-auth" {
				t.Errorf("Tableau saw %s", name)
			}
		}
		if len(res.Header["Set-Cookie"]) != 0 || len(res.Header["X-Tableau-Auth"]) != 0 {
			t.Errorf("the client saw %v", res.Header)
		}
		if len(req.Header) != len(before) || req.Host != "evil.example" {
			t.Error("the request was changed instead of a copy")
		}
	}
}

func TestSendsNothingWithoutABinding(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	body := &closeCounter{Reader: strings.NewReader("body")}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, testAPI+"/serverinfo", body)
	if _, err := (&Transport{Base: r.base}).RoundTrip(req); !errors.Is(err, ErrNoBinding) {
		t.Errorf("got %v", err)
	}
	if body.closed != 1 {
		t.Errorf("the body was closed %d times", body.closed)
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("Tableau saw %d requests", n)
	}
}

func TestSendsNothingElsewhere(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	r.ResetJournal()
	for _, origin := range []string{"http://tableau.example", "https://evil.example", "https://tableau.example:8443", "https://tableau.example.evil.example"} {
		req, _ := http.NewRequestWithContext(NewContext(t.Context(), &Binding{Pool: r.pool, Session: s}), http.MethodGet, origin+"/api/3.24/sites", nil)
		var wrong *OriginError
		if _, err := (&Transport{Base: r.base}).RoundTrip(req); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v", origin, err)
		}
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("Tableau saw %d requests", n)
	}
}

func TestSendsWithoutASession(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	req, _ := http.NewRequestWithContext(NewContext(t.Context(), &Binding{Pool: r.pool}), http.MethodGet, testAPI+"/serverinfo", nil)
	res, _, err := roundTrip(t, &Transport{Base: r.base}, req)
	if err != nil || res.StatusCode != http.StatusOK || r.Journal()[0].AuthTokens != 0 {
		t.Errorf("%v, %v, journal %+v", res, err, r.Journal())
	}
}

// TestRecovers: Tableau has ended the session. The client notices nothing, and
// the body arrives whole, once.
func TestRecovers(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	const query = `{"query":"{ workbooks { name luid } }"}`
	req, b := r.request(t, s, http.MethodPost, "", query)
	req.URL.Path = "/api/metadata/graphql"
	req.Header.Set("Content-Type", "application/json")
	res, content, err := roundTrip(t, &Transport{Base: r.base}, req)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(content, "luid") {
		t.Fatalf("%v, %v: %s", res, err, content)
	}
	if !b.Replaced || b.Session == s || r.session(t, "alice") != b.Session {
		t.Errorf("binding %+v", b)
	}
	if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
		t.Errorf("%d sign-ins, want 2", n)
	}
}

func TestHundredRejectionsOneSignIn(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if res, _, err := r.do(t, s, http.MethodGet, workbooks, ""); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%v, %v", res, err)
			}
		})
	}
	all.Wait()
	if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
		t.Errorf("%d sign-ins, want 2", n)
	}
}

// TestMissingScopeIsNoDeadSession: Tableau answers both alike.
func TestMissingScopeIsNoDeadSession(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	for range 3 {
		_, _, err := r.do(t, s, http.MethodGet, users, "")
		var scope *ScopeError
		if !errors.As(err, &scope) || scope.Session != s || scope.Tableau.Code != "401002" {
			t.Fatalf("got %v", err)
		}
	}
	if n := r.SignIns(tableautest.SignInFilter{}); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
}

// TestOther401sPass: a data source's own credential, for one, is none of our
// business.
func TestOther401sPass(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	for _, fault := range []tableautest.Fault{
		{Refuse: &tableautest.Refusal{Code: "401003", Summary: "Data source", Detail: "needs attention"}},
		{Refuse: &tableautest.Refusal{Status: 401, Code: "x", Summary: "not Tableau's"}},
		{Refuse: &tableautest.Refusal{Code: "403004"}},
		{Refuse: &tableautest.Refusal{Code: "429000"}},
		{Refuse: &tableautest.Refusal{Code: "503000"}},
	} {
		fault.Match.Operation = opWorkbooks
		active := r.AddFault(fault)
		res, _, err := r.do(t, s, http.MethodGet, workbooks, "")
		if err != nil || res.StatusCode == http.StatusOK {
			t.Errorf("%+v: %v, %v", fault.Refuse, res, err)
		}
		if active.Hits() != 1 {
			t.Errorf("%+v: sent %d times", fault.Refuse, active.Hits())
		}
		active.Remove()
	}
	if n := len(r.entries("sign_in")) + len(r.entries("get_current_server_session")); n != 1 {
		t.Errorf("%d calls about sessions, want the first sign-in only", n)
	}
}

// TestCompressedRejection: the client asked for gzip, so Tableau's error comes
// in it.
func TestCompressedRejection(t *testing.T) {
	r := newRig(t, tableautest.Options{Compress: true}, PoolOptions{})
	s := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	req, b := r.request(t, s, http.MethodGet, workbooks, "")
	req.Header.Set("Accept-Encoding", "gzip")
	res, content, err := roundTrip(t, &Transport{Base: r.base}, req)
	if err != nil || res.StatusCode != http.StatusOK || !b.Replaced {
		t.Fatalf("%v, %v", res, err)
	}
	unzip, err := gzip.NewReader(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(unzip); err != nil || !bytes.Contains(plain, []byte("<workbook")) {
		t.Errorf("%v: %s", err, plain)
	}
}

// TestUnreadableRejection: in a coding that we cannot read, the probe decides,
// and Tableau's own answer goes to the client if the session lives.
func TestUnreadableRejection(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	br := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		res, err := r.base.RoundTrip(req)
		if err == nil && res.StatusCode == http.StatusUnauthorized {
			res.Header.Set("Content-Encoding", "br")
		}
		return res, err
	})
	req, _ := r.request(t, s, http.MethodGet, users, "")
	res, content, err := roundTrip(t, &Transport{Base: br}, req)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !strings.Contains(content, "401002") {
		t.Errorf("alive: %v, %v: %s", res, err, content)
	}
	r.KillSessions(tableautest.SessionFilter{})
	req, _ = r.request(t, s, http.MethodGet, workbooks, "")
	if res, _, err = roundTrip(t, &Transport{Base: br}, req); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("dead: %v, %v", res, err)
	}
}

// TestLargeBodyIsNotSentTwice: more than the buffer holds was read, so there is
// no second sending; the client learns that it can try again, and can.
func TestLargeBodyIsNotSentTwice(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	req, b := r.request(t, s, http.MethodPost, "/sites/{site}/fileUploads", strings.Repeat("x", 2000))
	_, _, err := roundTrip(t, &Transport{Base: r.base, ReplayBuffer: 100}, req)
	if _, ok := errors.AsType[*EndedError](err); !ok {
		t.Fatalf("got %v", err)
	}
	if b.Session == s || r.session(t, "alice") != b.Session {
		t.Error("there is no new session for the next request")
	}
	if n := len(r.entries("initiate_file_upload")); n != 1 {
		t.Errorf("sent %d times, want once", n)
	}
}

// TestLargeBodyAfterSilence: when Tableau has not confirmed the session for a
// while, it is asked before a body goes out that can be sent only once.
func TestLargeBodyAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		r.KillSessions(tableautest.SessionFilter{})
		time.Sleep(quietLimit)
		req, b := r.request(t, s, http.MethodPost, "/sites/{site}/fileUploads", strings.Repeat("x", 2000))
		rt := &Transport{Base: r.base, ReplayBuffer: 100}
		_, _, err := roundTrip(t, rt, req)
		if _, ok := errors.AsType[*ScopeError](err); !ok { // reached Tableau with a live session, which lacks the scope
			t.Fatalf("got %v", err)
		}
		if !b.Replaced || b.Session == s {
			t.Errorf("binding %+v", b)
		}
	})
}

// TestEverythingRejected: even then a request costs a bounded number of calls,
// and the sign-ins stop.
func TestEverythingRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Refuse: &tableautest.Refusal{Code: "401002"}})
		const requests = 50
		for range requests {
			r.ResetJournal()
			req, b := r.request(t, s, http.MethodGet, workbooks, "")
			res, _, err := roundTrip(t, &Transport{Base: r.base}, req)
			if err == nil && res.StatusCode != http.StatusUnauthorized {
				t.Fatalf("got %v", res)
			}
			if calls := len(r.Journal()) - len(r.entries("sign_in")); calls > 3 {
				t.Fatalf("%d calls for one request, want at most 3", calls)
			}
			s = b.Session
		}
		ins := 0
		for range 600 { // ten minutes of requests, one each second
			r.ResetJournal()
			req, b := r.request(t, s, http.MethodGet, workbooks, "")
			_, _, _ = roundTrip(t, &Transport{Base: r.base}, req)
			s = b.Session
			ins += r.SignIns(tableautest.SignInFilter{})
			time.Sleep(time.Second)
		}
		if limit := 600 / int(rememberPermanent.Seconds()) * 1; ins > limit+maxBarren {
			t.Errorf("%d sign-ins in ten minutes, want at most %d", ins, limit+maxBarren)
		}
	})
}

// TestProbeThatSaysNothing: a young session is not replaced, an old one is.
func TestProbeThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "sessions/current"}, Refuse: &tableautest.Refusal{Code: "500000"}})
		res, _, err := r.do(t, s, http.MethodGet, users, "")
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("young: %v, %v", res, err)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 1 {
			t.Errorf("young: %d sign-ins, want 1", n)
		}
		time.Sleep(youngSession)
		if _, _, err = r.do(t, s, http.MethodGet, workbooks, ""); err != nil {
			t.Errorf("old: %v", err)
		}
		r.KillSessions(tableautest.SessionFilter{})
		if res, _, err = r.do(t, s, http.MethodGet, workbooks, ""); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("old and dead: %v, %v", res, err)
		}
	})
}

func TestNetworkErrorIsNotRepeated(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	cut := r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: opWorkbooks}, Cut: tableautest.CutBeforeHeaders})
	if _, _, err := r.do(t, s, http.MethodGet, workbooks, ""); err == nil {
		t.Error("no error")
	}
	if cut.Hits() != 1 {
		t.Errorf("sent %d times", cut.Hits())
	}
}

func TestHeaderThatRepeatsTheTokenIsRemoved(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	leaky := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		res, err := r.base.RoundTrip(req)
		if err == nil {
			res.Header.Set("X-Debug", "session="+req.Header.Get("X-Tableau-Auth")+";")
		}
		return res, err
	})
	req, _ := r.request(t, s, http.MethodGet, workbooks, "")
	res, _, err := roundTrip(t, &Transport{Base: leaky}, req)
	if err != nil || res.Header.Get("X-Debug") != "" || res.Header.Get("Content-Type") == "" {
		t.Errorf("%v, %v", res.Header, err)
	}
}

// TestSendsNothingAsAnother: should a session of somebody else ever get into a
// binding, nothing leaves.
func TestSendsNothingAsAnother(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	bob := r.session(t, "bob")
	b := &Binding{Pool: r.pool}
	if _, err := b.Acquire(t.Context(), grant("alice")); err != nil {
		t.Fatal(err)
	}
	b.Session = bob
	before := len(r.Journal())
	req, err := http.NewRequestWithContext(NewContext(t.Context(), b), http.MethodGet, testAPI+"/sites/x/workbooks", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := roundTrip(t, &Transport{Base: r.base}, req); !errors.Is(err, ErrOtherGrant) {
		t.Errorf("got %v", err)
	}
	if n := len(r.Journal()); n != before {
		t.Error("something was sent")
	}
}
