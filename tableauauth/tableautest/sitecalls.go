// This file serves sites, projects, jobs, settings and Connected Apps.

package tableautest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

func (s Site) node() *node {
	return el("site", at("id", SiteLUID(s.ContentURL)), at("name", s.Name), at("contentUrl", s.ContentURL),
		at("adminMode", "ContentAndUsers"), at("state", "Active"))
}

func (x *exchange) querySites() (answer, *apiError) {
	if x.t.opts.Cloud {
		return answer{}, fail(codeSitesOnCloud, summaryForbidden, "Sites cannot be listed on Tableau Cloud.")
	}
	if !x.user.ServerAdmin {
		return answer{}, forbidden("only for server administrators")
	}
	var nodes []*node
	for _, s := range x.t.Sites() {
		nodes = append(nodes, s.node())
	}
	return x.list("sites", nodes)
}

func (x *exchange) querySite() (answer, *apiError) { return ok(x.site.node()) }

func (x *exchange) queryProjects() (answer, *apiError) {
	var nodes []*node
	for _, name := range projects {
		nodes = append(nodes, el("project", at("id", ProjectLUID(x.site.ContentURL, name)), at("name", name),
			at("description", ""), at("topLevelProject", "true"), at("contentPermissions", "ManagedByOwner")))
	}
	return x.list("projects", nodes)
}

func (x *exchange) mcpSettings() (answer, *apiError) {
	return ok(el("settings", at("mcpEnabled", "true")))
}

// job is a piece of work in the background; here it is done at once.
type job struct {
	id, kind, user string
	at             time.Time
}

func (x *exchange) newJob(kind string) *job {
	j := &job{id: uuid.NewString(), kind: kind, user: x.user.Name, at: x.t.clock()}
	c := x.t.content
	c.mu.Lock()
	defer c.mu.Unlock()
	const maxJobs = 1000
	list := c.jobs[x.site.ContentURL]
	if len(list) >= maxJobs {
		list = list[1:]
	}
	c.jobs[x.site.ContentURL] = append(list, j)
	return j
}

// accepted is the answer of calls that start a job.
func (x *exchange) accepted(kind string) (answer, *apiError) {
	j := x.newJob(kind)
	n := el("job", at("id", j.id), at("mode", "Asynchronous"), at("type", j.kind), at("createdAt", timestamp(j.at)))
	return answer{status: http.StatusAccepted, nodes: []*node{n}}, nil
}

// jobs are those of the user, or all for an administrator.
func (x *exchange) jobs() []*job {
	x.t.content.mu.RLock()
	defer x.t.content.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(x.t.content.jobs[x.site.ContentURL]), func(j *job) bool {
		return j.user != x.user.Name && !x.user.siteAdmin()
	})
}

func (x *exchange) queryJobs() (answer, *apiError) {
	var nodes []*node
	for _, j := range x.jobs() {
		nodes = append(nodes, el("backgroundJob", at("id", j.id), at("status", "Success"), at("createdAt", timestamp(j.at)),
			at("startedAt", timestamp(j.at)), at("endedAt", timestamp(j.at)), at("jobType", j.kind), at("priority", "50")))
	}
	return x.list("backgroundJobs", nodes)
}

func (x *exchange) queryJob() (answer, *apiError) {
	for _, j := range x.jobs() {
		if j.id == x.params["job"] {
			return ok(el("job", at("id", j.id), at("mode", "Asynchronous"), at("type", j.kind), at("progress", "100"),
				at("createdAt", timestamp(j.at)), at("startedAt", timestamp(j.at)), at("completedAt", timestamp(j.at)),
				at("finishCode", "0")))
		}
	}
	return answer{}, notFound(codeJobNotFound, "Job")
}

func (x *exchange) listApps() (answer, *apiError) {
	var nodes []*node
	for _, app := range x.t.ConnectedApps() {
		if app.Site == x.site.ContentURL {
			nodes = append(nodes, el("connectedApplication", at("clientId", app.ClientID), at("name", app.Name),
				at("enabled", strconv.FormatBool(!app.Disabled))))
		}
	}
	return ok(listOf("connectedApplications", nodes))
}

// getAppSecret gives a secret away, as Tableau does to an administrator.
func (x *exchange) getAppSecret() (answer, *apiError) {
	app, found := x.t.accounts.app(x.params["client"])
	for _, s := range app.Secrets {
		if found && app.Site == x.site.ContentURL && s.ID == x.params["secret"] {
			return ok(el("connectedApplicationSecret", at("id", s.ID), at("value", s.Value.Reveal())))
		}
	}
	return answer{}, notFound(codeObjectNotFound, "Secret")
}

func (x *exchange) deleteAppSecret() (answer, *apiError) {
	app, _ := x.t.accounts.app(x.params["client"])
	if app.Site != x.site.ContentURL || x.t.DeleteSecret(x.params["client"], x.params["secret"]) != nil {
		return answer{}, notFound(codeObjectNotFound, "Secret")
	}
	return noContent, nil
}
