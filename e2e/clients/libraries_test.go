// The tests of this file run libraries that are older than the Tableau Server
// Client's present shape, or independent of it.

package clients

import (
	"slices"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A journey is what the scripts of this file print.
type journey struct {
	Site, User          string
	Workbooks, Projects []string
	Rows                int
	Image               string
	SignedOut           int `json:"signed_out"`
}

// expectBob fails the test unless the journey was bob's.
func (j journey) expectBob(t *testing.T) {
	t.Helper()
	if j.Site != tableautest.SiteLUID(site) || j.User != tableautest.UserLUID(site, "bob") {
		t.Errorf("site %s, user %s, want bob on finance", j.Site, j.User)
	}
	if want := whoever("bob").Workbooks; !slices.Equal(j.Workbooks, want) {
		t.Errorf("workbooks %q, want %q", j.Workbooks, want)
	}
}

func TestTableauAPILib(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	for _, kind := range []string{"password", "pat"} {
		t.Run(kind, func(t *testing.T) {
			got := decode[journey](t, r.run(t, append(r.as(r.https, reports), "KIND="+kind), py, script("tableau_api_lib_journey.py")))
			got.expectBob(t)
			if got.Rows == 0 || got.Image != "PNG" || got.SignedOut != 204 {
				t.Errorf("got %+v", got)
			}
		})
	}
	r.expectSignIns(1)
}

func TestTableauTools(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	for name, base := range map[string]string{"TLS": r.https, "without TLS": r.http} {
		t.Run(name, func(t *testing.T) {
			got := decode[journey](t, r.run(t, r.as(base, reports), py, script("tableau_tools_journey.py")))
			got.expectBob(t)
			if want := []string{"Default", "Reports", "Sandbox"}; !slices.Equal(got.Projects, want) {
				t.Errorf("projects %q, want %q", got.Projects, want)
			}
		})
	}
	// It leaves contentUrl out for the Default site, which is none of this
	// proxy's: that stands for its first.
	t.Run("no site", func(t *testing.T) {
		env := append(r.as(r.https, reports), "SITE=default")
		decode[journey](t, r.run(t, env, py, script("tableau_tools_journey.py"))).expectBob(t)
	})
	r.expectSignIns(1)
}
