package caddymodule

// This file prints what a configuration lets through, for people who have to
// sign for it.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A handlerReport is what one tableau_auth of a configuration lets through.
type handlerReport struct {
	Where         string         `json:"where"` // the handler in the JSON configuration, as a JSON pointer
	Origin        string         `json:"origin"`
	Sites         []string       `json:"sites"`
	Credentials   string         `json:"credentials"`
	Scopes        string         `json:"scopes"`
	UnknownRoutes string         `json:"unknown_routes"`
	Policies      []policyReport `json:"policies"`
}

// A policyReport is what holds for some of the people.
type policyReport struct {
	HoldsFor   string            `json:"holds_for"`
	Operations []operationReport `json:"operations"`
}

// An operationReport is what becomes of requests for one operation.
type operationReport struct {
	Decision  string   `json:"decision"`
	Rule      string   `json:"rule"`
	Operation string   `json:"operation"`
	Method    string   `json:"method"`
	Path      string   `json:"path"`
	Scopes    []string `json:"scopes"` // at most: a server is asked for none that it does not know
}

// printReport prints what the JSON configuration lets through.
func printReport(config []byte, asJSON bool, out io.Writer) error {
	var root any
	if err := json.Unmarshal(config, &root); err != nil {
		return err
	}
	reports, err := reportsIn(root, "")
	switch {
	case err != nil:
		return err
	case len(reports) == 0:
		return errors.New("there is no tableau_auth or tableau_proxy in this configuration")
	case asJSON:
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "\t")
		return e.Encode(reports)
	}
	for i := range reports {
		if err := reports[i].print(out); err != nil {
			return err
		}
	}
	return nil
}

// reportsIn finds the handlers in a part of a configuration, in the order of
// its keys.
func reportsIn(part any, where string) ([]handlerReport, error) {
	var all []handlerReport
	under := func(inner any, key string) error {
		found, err := reportsIn(inner, where+"/"+key)
		all = append(all, found...)
		return err
	}
	switch part := part.(type) {
	case []any:
		for i, inner := range part {
			if err := under(inner, strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if part["handler"] == "tableau_auth" {
			report, err := reportOn(part, where)
			return []handlerReport{report}, err
		}
		for _, key := range slices.Sorted(maps.Keys(part)) {
			if err := under(part[key], key); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// reportOn judges all operations by the options of one handler.
func reportOn(options map[string]any, where string) (handlerReport, error) {
	r := handlerReport{Where: where}
	text, err := json.Marshal(options)
	if err != nil {
		return r, err
	}
	var h Handler
	if err := json.Unmarshal(text, &h); err != nil {
		return r, fmt.Errorf("%s: %w", where, err)
	}
	var credentials struct {
		Kind string `json:"kind"`
	}
	if h.CredentialsRaw != nil {
		if err := json.Unmarshal(h.CredentialsRaw, &credentials); err != nil {
			return r, fmt.Errorf("%s: credentials: %w", where, err)
		}
	}
	b, err := newRulebook(&h, credentials.Kind, credentials.Kind == "pat" || credentials.Kind == "password", zap.NewNop())
	if err != nil {
		return r, fmt.Errorf("%s: %w", where, err)
	}
	r.Origin, r.Sites, r.Credentials = h.Origin, h.Sites, credentials.Kind
	r.Scopes, r.UnknownRoutes = b.describe(), b.describeUnknown()
	r.Policies = b.report(h.Policies)
	return r, nil
}

// report lists what holds for each group, or for everybody if there is none.
func (b *rulebook) report(policies []GroupPolicy) []policyReport {
	verdicts := b.publish(newestVersion).verdicts
	if len(policies) == 0 {
		return []policyReport{{"everybody", operationsReport(verdicts[0])}}
	}
	var all []policyReport
	for i, p := range policies {
		all = append(all, policyReport{p.String(), operationsReport(verdicts[i+1])})
	}
	return all
}

func operationsReport(verdicts map[*tableauapi.Operation]*verdict) []operationReport {
	var all []operationReport
	for op := range tableauapi.Operations() {
		v := verdicts[op]
		path := op.ShortTemplate()
		if op.Query != "" {
			path += "?" + op.Query
		}
		all = append(all, operationReport{decisions[v.ground], v.rule, op.Name, op.Method, path, append([]string{}, v.scopes...)})
	}
	return all
}

var decisions = [...]string{
	granted: "allowed", answered: "answered", authCall: "refused", denied: "refused", dangerous: "refused", noJWT: "refused", noScope: "refused",
}

// describeUnknown says what becomes of unknown routes.
func (s *scoping) describeUnknown() string {
	switch {
	case !s.unknownOpen:
		return "refused"
	case s.account:
		return "allowed"
	default:
		return "allowed with " + strings.Join(s.unknown, " ")
	}
}

// oneLine quotes what could be taken for more than one line of the table.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// print prints the report as text.
func (r *handlerReport) print(out io.Writer) error {
	for _, p := range r.Policies {
		count := map[string]int{}
		for _, o := range p.Operations {
			count[o.Decision]++
		}
		fmt.Fprintf(out, "handler         %s\norigin          %s\nsites           %s\ncredentials     %s\nscopes          %s\nunknown routes  %s\nholds for       %s\noperations      %d allowed, %d refused, %d answered by the proxy\n\n",
			oneLine(r.Where), oneLine(r.Origin), oneLine(strings.Join(r.Sites, " ")), oneLine(r.Credentials), r.Scopes, r.UnknownRoutes, oneLine(p.HoldsFor), count["allowed"], count["refused"], count["answered"])
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "DECISION\tRULE\tOPERATION\tMETHOD\tPATH\tSCOPES")
		for _, o := range p.Operations {
			scopes := strings.Join(o.Scopes, " ")
			if scopes == "" {
				scopes = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Decision, o.Rule, o.Operation, o.Method, o.Path, scopes)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	return nil
}
