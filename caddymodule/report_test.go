package caddymodule

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// TestMetricsAreDocumented compares the collectors and the events with
// docs/metrics.md, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, c := range collectors {
		descriptions := make(chan *prometheus.Desc, 1)
		c.Describe(descriptions)
		name := regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch((<-descriptions).String())
		have = append(have, name[1])
	}
	for _, file := range []string{"report.go", "audit_notify.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`emit\("([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
			have = append(have, m[1])
		}
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(have)
	slices.Sort(documented)
	if !slices.Equal(have, documented) {
		t.Errorf("the code has\n%s\nthe page has\n%s", strings.Join(have, " "), strings.Join(documented, " "))
	}
}

func TestMetricsCanBeRegisteredAgain(t *testing.T) {
	for range 2 { // each reload has a registry of its own
		registry := prometheus.NewRegistry()
		for range 2 { // several sites of one configuration share it
			if err := registerMetrics(registry); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestObserverCounts feeds what a pool reports and reads the metrics back.
func TestObserverCounts(t *testing.T) {
	app, err := tableauauth.NewDirectTrust("client", tableauauth.ConnectedAppSecret{ID: "id", Value: tableauapi.NewSecret("value")})
	if err != nil {
		t.Fatal(err)
	}
	const origin = "https://metrics.example"
	o := poolObserver(tableauauth.Connection{Origin: origin, Credential: app})
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry); err != nil {
		t.Fatal(err)
	}
	before := gathered(t, registry)

	o.SignIn(tableauauth.SignInEvent{Took: time.Second})
	o.SignIn(tableauauth.SignInEvent{Err: &tableauauth.SignInError{Reason: tableauauth.Throttled}})
	o.Failover(tableauauth.FailoverEvent{Kind: "direct_trust", Err: &tableauauth.SignInError{Reason: tableauauth.Refused}})
	o.Clock(2 * time.Minute)

	after := gathered(t, registry)
	for key, want := range map[string]float64{
		"caddy_tableau_sign_ins_total direct_trust ok":        1,
		"caddy_tableau_sign_ins_total direct_trust throttled": 1,
		"caddy_tableau_sign_in_seconds direct_trust":          2,
		"caddy_tableau_secrets_refused_total direct_trust":    1,
	} {
		if got := after[key] - before[key]; got != want {
			t.Errorf("%s rose by %v, want %v", key, got, want)
		}
	}
	if got := after["caddy_tableau_clock_offset_seconds "+origin]; got != 120 {
		t.Errorf("the clock is off by %v, want 120", got)
	}
}

// gathered returns every counter, gauge and histogram count, by name and labels.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
