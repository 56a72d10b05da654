// This file tests that every operation works with its scopes, and does not
// with any of them missing.

package tableautest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// example fills what an example needs to exist first.
func (w *world) example(o Operation, user string) (path, body string) {
	w.t.Helper()
	owner := w.issue(exampleSite, user)
	replace := []string{"{password}", w.password(w.Users()[0].Name)}
	need := func(placeholder string) bool { return strings.Contains(o.Example, placeholder) }
	if need("{upload}") {
		var u struct {
			FileUpload struct{ UploadSessionID string } `json:"fileUpload"`
		}
		got := w.call("POST", sitePath(exampleSite, "/fileUploads"), "", "X-Tableau-Auth", owner.Reveal(), "Accept", "application/json")
		if err := json.Unmarshal([]byte(got.body), &u); err != nil {
			w.t.Fatal(err)
		}
		replace = append(replace, "{upload}", u.FileUpload.UploadSessionID)
	}
	if need("{job}") {
		got := w.as(owner, "POST", sitePath(exampleSite, "/workbooks/"+WorkbookLUID(exampleSite, "Reports", exampleBook)+"/refresh"))
		_, rest, _ := strings.Cut(got.body, `<job id="`)
		replace = append(replace, "{job}", rest[:36])
	}
	if need("{session}") {
		w.issue(exampleSite, user)
		replace = append(replace, "{session}", w.Sessions()[len(w.Sessions())-1].ID)
	}
	app := w.ConnectedApp(exampleSite)
	replace = append(replace, "{client}", app.ClientID, "{secret}", app.Secrets[0].ID, "{pat}", user+"-pat")
	if w.opts.Cloud {
		replace = append(replace, UserLUID(exampleSite, "alice"), UserLUID(exampleSite, user))
	}
	r := strings.NewReplacer(replace...)
	return r.Replace(o.Example), r.Replace(o.ExampleBody)
}

// fitting is a world in which the operation exists, and a user who may call it.
func fitting(t *testing.T, o Operation) (w *world, user string) {
	w = newWorld(t, Options{Cloud: o.CloudOnly})
	user = o.ExampleUser
	if o.CloudOnly {
		user += "@example.com"
	}
	return w, user
}

func (w *world) try(o Operation, user string, token Secret, accept string) reply {
	w.t.Helper()
	path, body := w.example(o, user)
	return w.call(o.Method, path, body, "X-Tableau-Auth", token.Reveal(), "Content-Type", o.ExampleType, "Accept", accept)
}

func TestOperationsWithTheirScopes(t *testing.T) {
	for _, o := range Operations() {
		t.Run(o.Name, func(t *testing.T) {
			w, user := fitting(t, o)
			// A session for the password kind is not limited at all.
			if got := w.try(o, user, w.issue(exampleSite, user), "*/*"); got.status >= 300 {
				t.Fatalf("unlimited: got %d %s (%s)", got.status, got.body, w.last().Reason)
			} else if e := w.last(); e.Operation != o.Name {
				t.Errorf("recognised as %q", e.Operation)
			}
			if o.Unauthenticated {
				return
			}
			if !o.AcceptsJWT {
				token := w.issue(exampleSite, user, "tableau:content:read", "tableau:*:*")
				if got := w.try(o, user, token, "*/*"); got.code() != "401002" {
					t.Errorf("a JWT session: got %d %s", got.status, got.code())
				}
				return
			}
			w, user = fitting(t, o)
			exact := w.issue(exampleSite, user, append([]string{"tableau:other:read"}, o.Scopes...)...)
			if got := w.try(o, user, exact, "*/*"); got.status >= 300 {
				t.Errorf("with its scopes: got %d (%s)", got.status, w.last().Reason)
			}
			w, user = fitting(t, o)
			wild := []string{"tableau:other:*"}
			for _, s := range o.Scopes {
				wild = append(wild, s[:strings.LastIndex(s, ":")]+":*")
			}
			if got := w.try(o, user, w.issue(exampleSite, user, wild...), "*/*"); got.status >= 300 {
				t.Errorf("with wildcards: got %d (%s)", got.status, w.last().Reason)
			}
		})
	}
}

func TestOperationsOneScopeShort(t *testing.T) {
	for _, o := range Operations() {
		for i, missing := range o.Scopes {
			t.Run(o.Name, func(t *testing.T) {
				w, user := fitting(t, o)
				fewer := append([]string{"tableau:other:read", missing + "er", "tableau:*:*"}, slices.Delete(slices.Clone(o.Scopes), i, i+1)...)
				token := w.issue(exampleSite, user, fewer...)
				got := w.try(o, user, token, "*/*")
				if got.status != 401 || got.code() != "401002" {
					t.Errorf("got %d %s, want 401002", got.status, got.code())
				}
				if reason := w.last().Reason; !strings.Contains(reason, missing) {
					t.Errorf("the journal does not name %s: %s", missing, reason)
				}
				if got := w.as(token, "GET", current); got.status != 200 {
					t.Errorf("the session should live on, got %d", got.status)
				}
			})
		}
	}
}

func TestAnswersParse(t *testing.T) {
	for _, o := range Operations() {
		for _, accept := range []string{"application/xml", "application/json"} {
			w, user := fitting(t, o)
			got := w.try(o, user, w.issue(exampleSite, user), accept)
			switch got.header.Get("Content-Type") {
			case typeXML:
				if err := wellFormed(got.body); err != nil || accept == "application/json" {
					t.Errorf("%s as %s: %v\n%s", o.Name, accept, err, got.body)
				}
			case typeJSON:
				if !json.Valid([]byte(got.body)) {
					t.Errorf("%s as %s: not JSON\n%s", o.Name, accept, got.body)
				}
			case "":
				if got.status != 204 {
					t.Errorf("%s: no Content-Type with status %d", o.Name, got.status)
				}
			}
		}
	}
}

func wellFormed(body string) error {
	d := xml.NewDecoder(strings.NewReader(body))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestOperationNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range Operations() {
		if seen[o.Name] {
			t.Errorf("%s twice", o.Name)
		}
		seen[o.Name] = true
		for _, scope := range o.Scopes {
			if !scopePattern.MatchString(scope) {
				t.Errorf("%s: %s is no scope", o.Name, scope)
			}
		}
	}
}

func TestAllWildcard(t *testing.T) {
	w := newWorld(t, Options{Undocumented: Undocumented{AllWildcard: true}})
	if got := w.as(w.issue("finance", "alice", "tableau:*:*"), "GET", sitePath("finance", "/workbooks")); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}

func TestWrongPathsAndMethods(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice")
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/api/3.27/nothing", "404003"},
		{"GET", "/", "404003"},
		{"GET", "//api/3.27/sessions/current", "404003"},
		{"GET", "/api/3.27/sessions/current/", "404003"},
		{"GET", "/api/3.27/Sessions/current", "404003"},
		{"GET", "/vizportal/api/web/v1/x", "404003"},
		{"GET", "/api/3.27/sites//workbooks", "404003"},
		{"PUT", "/api/3.27/sessions/current", "405000"},
		{"GET", "/api/3.27/auth/signin", "405000"},
		{"GET", "/api/4.0/sessions/current", "404001"},
		{"GET", sitePath("nowhere", "/workbooks"), "404000"},
		{"GET", sitePath("finance", "/workbooks"), "403004"},
		{"GET", sitePath("", "/users"), "403004"},
		{"GET", sitePath("", "/users/"+UserLUID("", "bob")), "403004"},
		{"GET", sitePath("", "/workbooks/none"), "404006"},
		{"GET", sitePath("", "/users/"+UserLUID("", "alice")+"/personal-access-tokens"), "404003"},
		{"GET", "/api/3.27/sites", "403004"},
	} {
		if got := w.as(token, test.method, test.path); got.code() != test.want {
			t.Errorf("%s %s: got %d %s, want %s", test.method, test.path, got.status, got.code(), test.want)
		}
	}
}

func TestForeignSiteCode(t *testing.T) {
	w := newWorld(t, Options{Undocumented: Undocumented{ForeignSiteCode: "401002"}})
	if got := w.as(w.issue("", "alice"), "GET", sitePath("finance", "/workbooks")); got.code() != "401002" {
		t.Errorf("got %s", got.code())
	}
}

func TestLenientPaths(t *testing.T) {
	for _, path := range []string{
		"//api/3.27/sessions/current", "/api/3.27/sessions/current/", "/API/3.27/Sessions/Current", "/api/3.27/x/../sessions/current",
		"/api/3.27/sessions/current;a=b", "/api/3.27/%73essions/current", "/api/3.27/./sessions/%2e%2e/sessions/current",
	} {
		w := newWorld(t, Options{LenientPaths: true})
		if got := w.as(w.issue("", "alice"), "GET", path); got.status != 200 {
			t.Errorf("%s: got %d", path, got.status)
		}
	}
}

func TestCompress(t *testing.T) {
	w := newWorld(t, Options{Compress: true})
	got := w.call("GET", sitePath("finance", "/workbooks"), "", "X-Tableau-Auth", w.issue("finance", "alice").Reveal(), "Accept-Encoding", "gzip")
	if got.header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(got.body, "\x1f\x8b") {
		t.Errorf("not compressed: %v", got.header)
	}
}

func TestAdminOperationsNeedAnAdmin(t *testing.T) {
	for _, o := range Operations() {
		if !o.Admin {
			continue
		}
		w := newWorld(t, Options{})
		if got := w.try(o, "carol", w.issue(exampleSite, "carol"), "*/*"); got.code() != "403004" {
			t.Errorf("%s as a site administrator: got %d %s, want 403004", o.Name, got.status, got.code())
		}
	}
}
