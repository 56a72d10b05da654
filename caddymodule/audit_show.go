package caddymodule

// This file prints the records of an audit file that a filter lets through.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// An auditEntry is a record as it is shown and filtered.
type auditEntry struct {
	Seq       int64     `json:"seq"`
	Time      time.Time `json:"ts"`
	Event     string    `json:"event"`
	Call      string    `json:"call"`
	Egress    string    `json:"egress"`
	RequestID string    `json:"request_id"`
	For       string    `json:"for_request"`
	JTI       string    `json:"jti"`
	Identity  string    `json:"identity"`
	Client    string    `json:"client"`
	User      string    `json:"user"`
	Sub       string    `json:"sub"`
	Site      string    `json:"site"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Operation string    `json:"operation"`
	Status    *int      `json:"status"`
	Bytes     int64     `json:"resp_bytes"`
	Millis    float64   `json:"dur_ms"`
	Error     string    `json:"error"`
	Reason    string    `json:"reason"`
	Result    string    `json:"result"`
	ErrClass  string    `json:"err_class"`
	Truncated bool      `json:"truncated"`
	OK        *bool     `json:"ok"`
}

// An auditFilter says which records are wanted.
type auditFilter struct {
	person, user, operation, event, request string
	status                                  string // "404", "4xx", or ""
	since, until                            time.Time
}

var statusFilter = regexp.MustCompile(`^[0-9](?:[0-9]{2}|xx)$|^0$`)

func newAuditFilter(fl caddycmd.Flags) (f auditFilter, err error) {
	f = auditFilter{
		person: fl.String("person"), user: fl.String("user"), operation: fl.String("operation"),
		event: fl.String("event"), request: fl.String("request"), status: strings.ToLower(fl.String("status")),
	}
	if f.status != "" && !statusFilter.MatchString(f.status) {
		return f, fmt.Errorf("--status %q: it is a status such as 404, or a class such as 4xx", f.status)
	}
	if f.since, err = parseWhen("--since", fl.String("since"), time.Now()); err != nil {
		return f, err
	}
	f.until, err = parseWhen("--until", fl.String("until"), time.Now())
	return f, err
}

// parseWhen reads a time, a date, or how long before now.
func parseWhen(flag, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, value, time.UTC); err == nil {
			return t, nil
		}
	}
	if ago, err := caddy.ParseDuration(value); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%s %q: it is a time such as 2026-11-23T15:00:00Z, a date (both in UTC), or how long ago, such as 2h", flag, value)
}

// takes reports whether the record is wanted.
func (f auditFilter) takes(e *auditEntry) bool {
	switch {
	case f.person != "" && f.person != e.Identity && f.person != e.Client,
		f.user != "" && f.user != e.User && f.user != e.Sub,
		f.operation != "" && f.operation != e.Operation,
		f.event != "" && f.event != e.Event,
		f.request != "" && !slices.Contains([]string{e.RequestID, e.For, e.Egress, e.JTI}, f.request),
		!f.since.IsZero() && e.Time.Before(f.since),
		!f.until.IsZero() && !e.Time.Before(f.until):
		return false
	}
	return f.status == "" || e.hasStatus(f.status)
}

// hasStatus reports whether the record has a status, or one of a class.
func (e *auditEntry) hasStatus(want string) bool {
	if e.Status == nil {
		return false
	}
	class, isClass := strings.CutSuffix(want, "xx")
	got := strconv.Itoa(*e.Status)
	return got == want || isClass && len(got) == 3 && got[:1] == class
}

// showAudit prints the records that f lets through. A line that is no record is
// passed over and counted: to say what is wrong with it is verify's part.
func showAudit(ctx context.Context, path string, f auditFilter, asJSON bool, out io.Writer) error {
	files, err := auditlog.Files(path)
	if err != nil {
		return err
	}
	view := auditView{filter: f, out: out, pending: map[string]*auditEntry{}}
	bad := 0
	for record, err := range auditlog.Records(ctx, files...) {
		var line *auditlog.LineError
		var e auditEntry
		switch {
		case errors.As(err, &line):
			bad++
			continue
		case err != nil:
			return err
		case json.Unmarshal(record.Raw, &e) != nil:
			bad++
			continue
		}
		if asJSON {
			err = view.raw(&e, record.Raw)
		} else {
			err = view.people(&e)
		}
		if err != nil {
			return err
		}
	}
	if !asJSON {
		if err := view.rest(); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d lines are no records: see caddy tableau audit verify", bad)
	}
	return nil
}

// An auditView prints records.
type auditView struct {
	filter  auditFilter
	out     io.Writer
	pending map[string]*auditEntry // intents without an outcome so far
}

func (v *auditView) raw(e *auditEntry, raw []byte) error {
	if !v.filter.takes(e) {
		return nil
	}
	_, err := fmt.Fprintf(v.out, "%s\n", raw)
	return err
}

// people prints a record for people. The two of a call become one line.
func (v *auditView) people(e *auditEntry) error {
	if e.Event == eventIntent && v.filter.event == "" {
		v.pending[e.Egress] = e
		return nil
	}
	if e.Event == eventOutcome {
		if before := v.pending[e.Egress]; before != nil {
			e.Sub = before.Sub
			e.JTI = cmp.Or(e.JTI, before.JTI)
			e.Client = before.Client
			e.Site = cmp.Or(e.Site, before.Site)
		}
		delete(v.pending, e.Egress)
	}
	if !v.filter.takes(e) {
		return nil
	}
	_, err := fmt.Fprintln(v.out, e.line())
	return err
}

// rest prints the calls whose end nobody has recorded.
func (v *auditView) rest() error {
	left := make([]*auditEntry, 0, len(v.pending))
	for _, e := range v.pending {
		if v.filter.takes(e) {
			left = append(left, e)
		}
	}
	slices.SortFunc(left, func(a, b *auditEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range left {
		if _, err := fmt.Fprintln(v.out, e.line()+", no outcome was recorded"); err != nil {
			return err
		}
	}
	return nil
}

// line is the record in one line. What is not plain in it is quoted.
func (e *auditEntry) line() string {
	parts := []string{e.Time.Format(time.DateTime), e.Event}
	if e.Event == eventIntent || e.Event == eventOutcome {
		parts[1] = strings.ReplaceAll(plain(e.Call, "call"), "_", "-")
	}
	if who := e.people(); who != "" {
		parts = append(parts, who)
	}
	if e.Method != "" {
		parts = append(parts, strings.TrimSpace(plain(e.Operation, "")+" "+plain(e.Method, "")+" "+plain(e.Path, "")))
	}
	if e.Status != nil {
		parts = append(parts, strconv.Itoa(*e.Status))
	}
	if e.Event == eventOutcome {
		parts = append(parts, fmt.Sprintf("%s in %.0f ms", humanize.IBytes(uint64(max(e.Bytes, 0))), e.Millis))
	}
	if e.OK != nil {
		parts = append(parts, map[bool]string{true: "ok", false: "failed"}[*e.OK])
	}
	for _, s := range []string{e.Error, e.Reason, e.Result, e.ErrClass} {
		if s != "" {
			parts = append(parts, plain(s, ""))
		}
	}
	if e.Truncated {
		parts = append(parts, "not passed on to its end")
	}
	return strings.Join(parts, "  ")
}

// people is who it was, as whom, and on which site.
func (e *auditEntry) people() string {
	who := plain(cmp.Or(e.Identity, e.Client), "")
	if as := cmp.Or(e.User, e.Sub); as != "" {
		who = strings.TrimSpace(who + " as " + plain(as, ""))
	}
	if e.Site != "" {
		who = strings.TrimSpace(who + ", site " + plain(e.Site, ""))
	}
	return who
}

// plain is s, quoted where it could be taken for more than it is.
func plain(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	if q := fmt.Sprintf("%+q", s); len(q) != len(s)+2 || strings.ContainsAny(s, " ,") {
		return q
	}
	return s
}
