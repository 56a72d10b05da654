// The tests of this file run the Postman collection of the examples with newman,
// Postman's own runner.

package clients

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A collection is what a run of newman reports.
type collection struct {
	Run struct {
		Stats    map[string]struct{ Total, Failed, Pending int }
		Failures []struct {
			Error  struct{ Test, Message string }
			Source struct{ Name string }
		}
	}
}

// journeys are the requests of the collection: fewer would show less.
const journeys = 31

// postman runs the collection with its environment, changed by settings.
func (r *rig) postman(t *testing.T, settings map[string]string) collection {
	t.Helper()
	dir := filepath.Join(root(), "examples", "postman")
	report := filepath.Join(t.TempDir(), "report.json")
	args := []string{
		"run", filepath.Join(dir, "tableau-proxy.postman_collection.json"),
		"--environment", filepath.Join(dir, "tableau-proxy.postman_environment.json"),
		"--reporters", "json", "--reporter-json-export", report,
	}
	for name, value := range settings {
		args = append(args, "--env-var", name+"="+value)
	}
	p := r.client(t, nil, newman(t), args...)
	status := p.wait()
	var result collection
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		t.Fatalf("newman ended with status %d and no report: %v\n%s", status, err, p.tail())
	}
	for _, f := range result.Run.Failures {
		t.Errorf("%s: %s: %s", f.Source.Name, f.Error.Test, f.Error.Message)
	}
	stats := result.Run.Stats
	if got := stats["requests"].Total; got != journeys || stats["requests"].Failed > 0 {
		t.Errorf("%d requests of which %d failed, want %d", got, stats["requests"].Failed, journeys)
	}
	if got := stats["assertions"].Total; got < 2*journeys || stats["assertions"].Pending > 0 {
		t.Errorf("%d assertions of which %d were passed over, want at least %d", got, stats["assertions"].Pending, 2*journeys)
	}
	return result
}

// server splits a base URL into the collection's variables.
func server(base string) map[string]string {
	protocol, host, _ := strings.Cut(base, "://")
	return map[string]string{"protocol": protocol, "server": host, "scopes": scopes}
}

func TestPostmanCollectionWithTheSecretOfATool(t *testing.T) {
	r, _ := newRigOfTwoSites(t)
	settings := server(r.https)
	maps.Copy(settings, map[string]string{
		"proxy-user": "", "proxy-password": "", "other-content-url": otherSite,
		"username": etl.name, "password": etl.secret, "pat-name": etl.name, "pat-secret": etl.secret,
	})
	r.postman(t, settings)
	r.expectSignIns(1)
}

func TestPostmanCollectionWithBasicAuthentication(t *testing.T) {
	r := newRig(t)
	settings := server(r.basic)
	settings["proxy-password"] = password
	r.postman(t, settings)
	r.expectSignIns(1)
}

// As it is imported, the collection fits the demo.
func TestPostmanCollectionOnTheDemo(t *testing.T) {
	r := newRig(t)
	settings := server(startDemo(t, r))
	delete(settings, "scopes")
	r.postman(t, settings)
}
