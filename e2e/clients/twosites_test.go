// This file serves two sites that one Connected App reaches, which a single
// simulator does not have, as at Tableau a Connected App belongs to one site:
// two simulators that know the same app, behind one address.

package clients

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// otherSite is the content URL of the second site.
const otherSite = "marketing"

// twoSites sends each request to the simulator whose site it is about.
type twoSites struct{ first, other *tableautest.Tableau }

func (s twoSites) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := tableautest.SiteLUID(otherSite)
	about := strings.Contains(r.URL.Path, id) || strings.HasSuffix(r.Header.Get("X-Tableau-Auth"), id)
	if strings.HasSuffix(r.URL.Path, "/auth/signin") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		about = bytes.Contains(body, []byte(`"`+otherSite+`"`))
	}
	if about {
		s.other.ServeHTTP(w, r)
		return
	}
	s.first.ServeHTTP(w, r)
}

// newRigOfTwoSites starts a proxy for both; the rig's simulator is the first's.
func newRigOfTwoSites(t *testing.T) (r *rig, other *tableautest.Tableau) {
	t.Helper()
	app := tableautest.ConnectedApp{
		ClientID: uuid.NewString(),
		Secrets:  []tableautest.AppSecret{{ID: uuid.NewString(), Value: tableautest.Secret(uuid.NewString() + uuid.NewString())}},
	}
	of := func(content, name string) *tableautest.Tableau {
		app.Site = content
		return tableautest.New(tableautest.Options{
			Sites: []tableautest.Site{{ContentURL: content, Name: name}}, ConnectedApps: []tableautest.ConnectedApp{app},
		})
	}
	both := twoSites{of(site, "Finance"), of(otherSite, "Marketing")}
	server := httptest.NewUnstartedServer(both)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that end early are no news
	server.StartTLS()
	return serve(t, &tableautest.Server{Tableau: both.first, URL: server.URL, HTTP: server}, site+" "+otherSite, scopes), both.other
}
