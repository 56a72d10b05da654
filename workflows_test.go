// The tests of this file hold the workflows of GitHub to what keeps a stranger's code
// away from a release: actions pinned by commit, and no permission that is not asked for.

package caddytableau_test

import (
	"regexp"
	"strings"
	"testing"
)

const workflows = ".github/workflows/*.yml"

// workflow is the part of a workflow file that the tests look at. Permissions are
// decoded loosely, because GitHub also takes a word such as write-all.
type workflow struct {
	Permissions any
	Jobs        map[string]struct {
		Timeout int `yaml:"timeout-minutes"`
	}
}

// A tag can be moved to other code; a commit cannot. The comment says which version it is.
func TestActionsArePinned(t *testing.T) {
	uses := regexp.MustCompile(`^\s*(?:- )?uses:\s*(.*)$`)
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$`)
	for _, name := range glob(t, workflows) {
		for line := range strings.Lines(readFile(t, name)) {
			match := uses.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
			if match != nil && !pinned.MatchString(match[1]) {
				t.Errorf("%s: uses %s: want owner/action@<40 hex digits> # v1.2.3", name, match[1])
			}
		}
	}
}

// One action is in one version everywhere.
func TestActionsAgree(t *testing.T) {
	pins := make(map[string]string)
	for _, name := range glob(t, workflows) {
		for _, match := range regexp.MustCompile(`uses:\s*([\w./-]+)@(.+)`).FindAllStringSubmatch(readFile(t, name), -1) {
			action, pin := match[1], match[2]
			if earlier, ok := pins[action]; ok && earlier != pin {
				t.Errorf("%s: %s@%s, elsewhere @%s", name, action, pin, earlier)
			}
			pins[action] = pin
		}
	}
}

func TestWorkflowsMayOnlyRead(t *testing.T) {
	for _, name := range glob(t, workflows) {
		var w workflow
		readYAML(t, name, &w)
		permissions, ok := w.Permissions.(map[string]any)
		if !ok || len(permissions) != 1 || permissions["contents"] != "read" {
			t.Errorf("%s: permissions = %v at the top, want contents: read alone; widen a job, not the file", name, w.Permissions)
		}
	}
}

func TestJobsHaveATimeLimit(t *testing.T) {
	for _, name := range glob(t, workflows) {
		var w workflow
		readYAML(t, name, &w)
		if len(w.Jobs) == 0 {
			t.Errorf("%s has no jobs", name)
		}
		for job, settings := range w.Jobs {
			if settings.Timeout == 0 {
				t.Errorf("%s: job %s has no timeout-minutes", name, job)
			}
		}
	}
}

// The continuous run is the one that anybody can start.
func TestContinuousRunIsCIRun(t *testing.T) {
	if !strings.Contains(readFile(t, ".github/workflows/ci.yml"), "bash .ci/run") {
		t.Error("ci.yml does not call .ci/run")
	}
	if !strings.Contains(readFile(t, ".ci/run"), "make test") {
		t.Error(".ci/run does not call make test")
	}
}
