// This file derives LUIDs from names, so that content is the same in every run.

package tableautest

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

var luidSpace = uuid.MustParse("4f1c8f0a-6f5a-5d2e-9a54-7d0b8f1f3a10")

// luid names a thing for ever; parts are length-prefixed so that different
// parts cannot run into each other.
func luid(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range parts {
		b.WriteString("/" + strconv.Itoa(len(p)) + ":" + p)
	}
	return uuid.NewSHA1(luidSpace, []byte(b.String())).String()
}

// SiteLUID returns the LUID of the site with a content URL.
func SiteLUID(contentURL string) string { return luid("site", strings.ToLower(contentURL)) }

// UserLUID returns the LUID of a user at a site; it differs between sites.
func UserLUID(contentURL, user string) string {
	return luid("user", strings.ToLower(contentURL), user)
}

// ProjectLUID returns the LUID of a project.
func ProjectLUID(contentURL, project string) string {
	return luid("project", strings.ToLower(contentURL), project)
}

// WorkbookLUID returns the LUID of a workbook.
func WorkbookLUID(contentURL, project, workbook string) string {
	return luid("workbook", strings.ToLower(contentURL), project, workbook)
}

// ViewLUID returns the LUID of a view.
func ViewLUID(contentURL, project, workbook, view string) string {
	return luid("view", strings.ToLower(contentURL), project, workbook, view)
}

// DatasourceLUID returns the LUID of a data source.
func DatasourceLUID(contentURL, project, datasource string) string {
	return luid("datasource", strings.ToLower(contentURL), project, datasource)
}

// GroupLUID returns the LUID of a group.
func GroupLUID(contentURL, group string) string {
	return luid("group", strings.ToLower(contentURL), group)
}
