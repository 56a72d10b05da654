// This file reads the records that the proxy writes of every request.

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"
)

// records are the lines of the log of tableau.audit so far.
func (r *rig) records() []map[string]any {
	r.t.Helper()
	log, err := os.ReadFile(r.conf.Dir + "/audit.log")
	if err != nil {
		return nil // not begun
	}
	return jsonLines(log)
}

// waitForRecord waits for a record.
func (r *rig) waitForRecord(is func(map[string]any) bool) {
	r.t.Helper()
	eventually(r.t, "the record in the audit log", func() bool {
		return slices.ContainsFunc(r.records(), is)
	})
}

// jsonLines reads a log of one JSON object a line.
func jsonLines(log []byte) (lines []map[string]any) {
	for line := range bytes.Lines(log) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			return lines // half a line: the rest is on its way
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestEveryRequestIsInTheAuditRecord(t *testing.T) {
	r := newRig(t, setup{})
	r.plain().get("mallory", workbooks).expect(r, http.StatusForbidden)
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	eventually(t, "two records in the audit log", func() bool { return len(r.records()) >= 2 })
	for i, want := range []map[string]any{
		{"identity": "mallory", "user": "", "status": 403.0, "error": "identity_not_mapped", "method": "GET", "route": "/sites/{site}/workbooks", "how": "no session"},
		{"identity": "alice", "user": "alice", "status": 200.0, "site": site, "method": "GET", "route": "/sites/{site}/workbooks", "how": "signed in"},
	} {
		record := r.records()[i]
		for field, value := range want {
			if got := record[field]; got != value {
				t.Errorf("record %d: %s is %v, want %v", i, field, got, value)
			}
		}
		if took, ok := record["took"].(float64); !ok || took <= 0 || took > time.Minute.Seconds() {
			t.Errorf("record %d: took is %v", i, record["took"])
		}
	}
}

// The access log has, of the same request, as whom it went and where to.
func TestTheAccessLogSaysAsWhom(t *testing.T) {
	r := newRig(t, setup{})
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	var lines []map[string]any
	eventually(t, "a line in the access log", func() bool {
		log, err := os.ReadFile(r.conf.Dir + "/access.log")
		lines = jsonLines(log)
		return err == nil && len(lines) > 0
	})
	for field, want := range map[string]string{"tableau_user": "alice", "tableau_site": site, "tableau_route": "/sites/{site}/workbooks"} {
		if got := lines[0][field]; got != want {
			t.Errorf("%s is %v, want %s", field, got, want)
		}
	}
}
