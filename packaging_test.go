// The tests of this file hold what packaging/ has for Prometheus and Grafana against
// the metrics of caddymodule, and have promtool run the tests of the alerts.

package caddytableau_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	alertRules = "packaging/prometheus/caddy-tableau.rules.yml"
	alertTests = "packaging/prometheus/caddy-tableau.rules.test.yml"
	dashboard  = "packaging/grafana/caddy-tableau.json"
)

// metricNames are the metrics of caddymodule, with the kind of each.
func metricNames(t *testing.T) map[string]string {
	t.Helper()
	names := make(map[string]string)
	for _, file := range []string{"caddymodule/report.go", "caddymodule/audit_metrics.go"} {
		for _, match := range regexp.MustCompile(`Namespace: "caddy", Subsystem: "tableau", Name: "(\w+)"`).FindAllStringSubmatch(readFile(t, file), -1) {
			names["caddy_tableau_"+match[1]] = file
		}
		for _, match := range regexp.MustCompile(`auditGauge\("(\w+)"`).FindAllStringSubmatch(readFile(t, file), -1) {
			names["caddy_tableau_"+match[1]] = file
		}
	}
	if len(names) < 13 {
		t.Fatalf("only %d metrics were found: %v", len(names), names)
	}
	return names
}

var metricInExpr = regexp.MustCompile(`caddy_tableau_\w+`)

// metricsIn are the metrics that expressions name, without the ends that
// histograms add.
func metricsIn(exprs ...string) []string {
	var names []string
	for _, expr := range exprs {
		for _, name := range metricInExpr.FindAllString(expr, -1) {
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, end)
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkMetrics checks that exprs name all metrics of ours, and no other.
func checkMetrics(t *testing.T, where string, exprs []string) {
	t.Helper()
	have := metricNames(t)
	named := metricsIn(exprs...)
	for _, name := range named {
		if have[name] == "" {
			t.Errorf("%s names %s, which does not exist", where, name)
		}
	}
	for name := range have {
		if !slices.Contains(named, name) {
			t.Errorf("%s does not show %s", where, name)
		}
	}
}

func TestDashboardShowsAllMetrics(t *testing.T) {
	var board struct {
		Panels []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("the panel %q has the id %d, which is another's, or no title", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("the panel %q has no description or shows nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("the panel %q lies over %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, "$instance") {
				t.Errorf("the panel %q shows every instance: %s", p.Title, target.Expr)
			}
			exprs = append(exprs, target.Expr)
		}
	}
	checkMetrics(t, dashboard, exprs)
}

// An alertFile is a file of rules, as far as it is looked at here.
type alertFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func TestAlertsNameMetrics(t *testing.T) {
	var rules alertFile
	readYAML(t, alertRules, &rules)
	have := metricNames(t)
	tests := readFile(t, alertTests)
	page := readFile(t, "docs/metrics.md")
	count := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			count++
			for _, name := range metricsIn(rule.Expr) {
				if have[name] == "" {
					t.Errorf("%s: %s does not exist", rule.Alert, name)
				}
			}
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: it takes a severity, a summary and a description", rule.Alert)
			}
			if !regexp.MustCompile(`alertname: ` + rule.Alert + `\n\s+exp_alerts:`).MatchString(tests) {
				t.Errorf("%s: no test in %s shows that it fires", rule.Alert, alertTests)
			}
			if !regexp.MustCompile(`alertname: ` + rule.Alert + `\n(?:\s*\n|\s+- )`).MatchString(tests) {
				t.Errorf("%s: no test in %s shows that it does not fire", rule.Alert, alertTests)
			}
			if !strings.Contains(page, "`"+rule.Alert+"`") {
				t.Errorf("docs/metrics.md does not name %s", rule.Alert)
			}
		}
	}
	if count < 10 {
		t.Errorf("only %d alerts were found", count)
	}
}

// TestAlertsFire has promtool run the tests of the alerts.
func TestAlertsFire(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "true" {
		out, _ := exec.CommandContext(t.Context(), "bash", ".ci/system-packages", "promtool").CombinedOutput()
		if tool, err = exec.LookPath("promtool"); err != nil {
			t.Logf("%s", out)
		}
	}
	if err != nil {
		t.Skip("promtool is missing (Debian: apt-get install prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", alertRules}, {"test", "rules", alertTests}} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
