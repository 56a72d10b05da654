package tableauauth

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A fileOfSecret stands for a file with a secret that somebody replaces.
type fileOfSecret struct{ content atomic.Pointer[namedSecret] }

func (f *fileOfSecret) put(id string, value tableautest.Secret) {
	f.content.Store(&namedSecret{id, tableauapi.NewSecret(value.Reveal())})
}

func (f *fileOfSecret) read() (string, tableauapi.Secret) {
	now := f.content.Load()
	return now.name, now.value
}

// TestRotationUnderLoad: the first secret is deleted at Tableau, which ends its
// sessions, while 500 requests a second are made; then a new one is made and
// put where the first was, and then the same befalls the second. No request
// fails, and nothing is configured anew.
func TestRotationUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotationRig(t)
		stop := make(chan struct{})
		var load sync.WaitGroup
		var made atomic.Int64
		for i := range 50 {
			load.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					r.request(t, fmt.Sprintf("user %d", (i+n)%200))
					made.Add(1)
				}
			})
		}
		// Between two rounds of requests. In the very instant of one, a request
		// could find its session dead, sign in with the secret that is being
		// deleted, and find that session dead too: a second 401 is the client's.
		time.Sleep(50 * time.Millisecond)
		for _, file := range []int{0, 1, 0} {
			time.Sleep(6 * time.Second)
			r.replace(t, file, 3*time.Second)
		}
		time.Sleep(6 * time.Second)
		close(stop)
		load.Wait()
		if made.Load() < 15_000 {
			t.Errorf("%d requests were made", made.Load())
		}
		if r.failovers.Load() == 0 {
			t.Error("no refusal of a secret was reported")
		}
	})
}

// A rotationRig is a pool whose Connected App has its two secrets from files.
type rotationRig struct {
	*tableautest.Tableau
	pool      *Pool
	client    string
	files     [2]fileOfSecret
	failovers atomic.Int64
}

func newRotationRig(t *testing.T) *rotationRig {
	t.Helper()
	r := &rotationRig{Tableau: tableautest.New(tableautest.Options{
		AcceptUser: func(string) bool { return true }, JournalSize: -1,
		Undocumented: tableautest.Undocumented{RevokeEndsSessions: true},
	})}
	r.client = r.ConnectedApp(testSite).ClientID
	if _, err := r.AddSecret(r.client); err != nil {
		t.Fatal(err)
	}
	var ours []ConnectedAppSecret
	for i, s := range r.ConnectedApp(testSite).Secrets {
		r.files[i].put(s.ID, s.Value)
		ours = append(ours, ConnectedAppSecret{ID: s.ID, Value: tableauapi.NewSecret(s.Value.Reveal()), Current: r.files[i].read})
	}
	app, err := NewDirectTrust(r.client, ours...)
	if err != nil {
		t.Fatal(err)
	}
	before := app.Fingerprint()
	t.Cleanup(func() {
		if app.Fingerprint() != before {
			t.Error("the fingerprint has changed with the files")
		}
	})
	r.pool, err = NewPool(Connection{Origin: testOrigin, Credential: app}, PoolOptions{
		Client:   Client{Transport: r.RoundTripper()},
		Observer: Observer{Failover: func(FailoverEvent) { r.failovers.Add(1) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.pool.Close(context.Background()) })
	return r
}

// replace deletes the secret of a file at Tableau, and gives the file a new one
// after a while.
func (r *rotationRig) replace(t *testing.T, file int, after time.Duration) {
	t.Helper()
	id, _ := r.files[file].read()
	if err := r.DeleteSecret(r.client, id); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	fresh, err := r.AddSecret(r.client)
	if err != nil {
		t.Fatal(err)
	}
	r.files[file].put("", "") // half written
	time.Sleep(time.Second)
	r.files[file].put(fresh.ID, fresh.Value)
}

func (r *rotationRig) request(t *testing.T, user string) {
	t.Helper()
	b := &Binding{Pool: r.pool}
	if _, err := b.Acquire(t.Context(), grant(user)); err != nil {
		t.Errorf("%s: %v", user, err)
		return
	}
	defer b.Release()
	req, err := http.NewRequestWithContext(NewContext(t.Context(), b), http.MethodGet, testAPI+"/sites/"+b.Session.SiteID()+"/workbooks", nil)
	if err != nil {
		t.Error(err)
		return
	}
	res, _, err := roundTrip(t, &Transport{Base: r.RoundTripper()}, req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%s: %v %v", user, res, err)
	}
}

// What comes back half, or not at all, is as good as unchanged.
func TestLiveSecretKeepsTheLast(t *testing.T) {
	var file fileOfSecret
	file.put("one", "first")
	s := newLiveSecret("one", tableauapi.NewSecret("first"), file.read)
	for _, now := range []struct {
		name      string
		value     tableautest.Secret
		want, has string
	}{
		{"", "", "one", "first"},
		{"two", "", "one", "first"},
		{"", "second", "one", "first"},
		{"two", "second", "two", "second"},
		{"", "", "two", "second"},
	} {
		file.put(now.name, now.value)
		if got := s.get(); got.name != now.want || got.value.Reveal() != now.has {
			t.Errorf("with %q in the file: %q, want %q", now.name, got.name, now.want)
		}
	}
}

// A refused secret that was replaced since the proof was made is worth another
// attempt, even if it is the only one.
func TestRefusedSecretWasReplaced(t *testing.T) {
	var file fileOfSecret
	file.put("one", "first")
	app, err := NewDirectTrust("c", ConnectedAppSecret{ID: "one", Value: tableauapi.NewSecret("first"), Current: file.read})
	if err != nil {
		t.Fatal(err)
	}
	refused := &SignInError{Reason: Refused, Tableau: &tableauapi.Error{Code: tableauapi.CodeSignInFailed, Detail: "(127)"}}
	old := must(app.Proof(grant("alice"), time.Now()))
	if app.Refused(old, refused) {
		t.Error("another attempt with the same secret")
	}
	file.put("two", "second")
	fresh := must(app.Proof(grant("alice"), time.Now()))
	if fresh.SecretID != "two" || !app.Refused(old, refused) || app.Refused(fresh, refused) {
		t.Errorf("signs with %q; the old proof is worth another attempt: %t, the fresh one: %t",
			fresh.SecretID, app.Refused(old, refused), app.Refused(fresh, refused))
	}
}

// A token that is replaced by another of the same name is used as soon as the
// first is refused, or its session ends.
func TestPATIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		var file fileOfSecret
		file.put("proxy-1", r.pats[0].Secret)
		c, err := NewPAT(false, PersonalAccessToken{
			Name: "proxy-1", Secret: tableauapi.NewSecret(r.pats[0].Secret.Reveal()),
			Current: func() tableauapi.Secret { _, s := file.read(); return s },
		})
		if err != nil {
			t.Fatal(err)
		}
		pool, err := NewPool(Connection{Origin: testOrigin, Credential: c}, PoolOptions{Client: Client{Transport: r.watch}})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close(t.Context())
		r.pool = pool
		b := r.acquire(t, testSite, "")
		fresh := tableautest.PAT{Name: "proxy-1", Secret: "another secret of the token", User: "admin"}
		r.AddPAT(fresh)
		r.KillSessions(tableautest.SessionFilter{})
		file.put("proxy-1", fresh.Secret)
		if status, _, err := r.get(t.Context(), b, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK {
			t.Errorf("status %d, error %v", status, err)
		}
		b.Release()
	})
}
