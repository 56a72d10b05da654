// This file keeps the content: workbooks and data sources, and who sees them.

package tableautest

import (
	"slices"
	"sync"
	"time"
)

// Workbook is a workbook to be put on a site.
type Workbook struct {
	// Site is the content URL of its site.
	Site string
	// Project defaults to "Default", Name to "Workbook".
	Project, Name string
	// Owner is a user name; default: the first user.
	Owner string
	// Readers are the users who see it besides its owner and administrators;
	// "*" means everyone.
	Readers []string
	// Views are the names of its views. Default: one, "Overview".
	Views []string
	// Size, if set, is the length of the file that a download gives. It is
	// made on the fly, see [GeneratedContent], and takes no memory.
	Size int64
}

// itemKind tells workbooks from data sources.
type itemKind string

const (
	kindWorkbook   itemKind = "workbook"
	kindDatasource itemKind = "datasource"
)

// item is a workbook or data source.
type item struct {
	kind          itemKind
	luid          string
	site, project string
	name, owner   string
	readers       []string
	views         []string
	size          int64  // of a generated or published file
	data          []byte // of a published file, if kept
	published     bool
	sha256        string
	changed       time.Time
}

// contentEpoch is when the default content was made.
var contentEpoch = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

// projects are those of every site.
var projects = []string{defaultProject, "Reports", "Sandbox"}

const defaultProject = "Default"

// content is everything on all sites.
type content struct {
	accounts *registry

	mu      sync.RWMutex
	items   map[string][]*item // by content URL
	uploads map[string]*upload
	jobs    map[string][]*job // by content URL
}

func newContent(accounts *registry, extra []Workbook) *content {
	c := &content{
		accounts: accounts, items: map[string][]*item{},
		uploads: map[string]*upload{}, jobs: map[string][]*job{},
	}
	for _, i := range sampleItems(accounts) {
		c.put(i)
	}
	for _, w := range extra {
		c.addWorkbook(w)
	}
	return c
}

// AddWorkbook puts a workbook on a site and returns its LUID.
func (t *Tableau) AddWorkbook(w Workbook) string { return t.content.addWorkbook(w) }

func (c *content) addWorkbook(w Workbook) string {
	setDefault(&w.Project, defaultProject)
	setDefault(&w.Name, "Workbook")
	if w.Views == nil {
		w.Views = []string{"Overview"}
	}
	if users := c.accounts.usersOf(w.Site); w.Owner == "" && len(users) > 0 {
		w.Owner = users[0].Name
	}
	i := &item{
		kind: kindWorkbook, luid: WorkbookLUID(w.Site, w.Project, w.Name), site: w.Site, project: w.Project,
		name: w.Name, owner: w.Owner, readers: w.Readers, views: w.Views, size: w.Size, changed: contentEpoch,
	}
	c.put(i)
	return i.luid
}

// put stores an item in the place of one with the same LUID.
func (c *content) put(i *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.items[i.site]
	for n, old := range list {
		if old.luid == i.luid {
			list[n] = i
			return
		}
	}
	c.items[i.site] = append(list, i)
}

// remove deletes an item.
func (c *content) remove(i *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items[i.site] = slices.DeleteFunc(c.items[i.site], func(other *item) bool { return other == i })
}

// named finds an item by project and name, seen or not.
func (c *content) named(kind itemKind, site, project, name string) *item {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, i := range c.items[site] {
		if i.kind == kind && i.project == project && i.name == name {
			return i
		}
	}
	return nil
}

// visible lists what a user sees of a site.
func (c *content) visible(kind itemKind, site string, user User) []*item {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []*item
	for _, i := range c.items[site] {
		if i.kind == kind && i.visibleTo(user) {
			out = append(out, i)
		}
	}
	if kind == kindWorkbook {
		out = append(out, drafts(site, user.Name))
	}
	return out
}

func (i *item) visibleTo(user User) bool {
	return user.siteAdmin() || i.owner == user.Name ||
		slices.Contains(i.readers, "*") || slices.Contains(i.readers, user.Name)
}

// find returns an item that the user sees.
func (c *content) find(kind itemKind, site, luid string, user User) *item {
	for _, i := range c.visible(kind, site, user) {
		if i.luid == luid {
			return i
		}
	}
	return nil
}

// DraftsName is the name of the workbook that every user has in the project
// Default of each site, and that nobody else sees.
func DraftsName(user string) string { return "Drafts of " + user }

// drafts is made anew each time, so that any number of users costs nothing.
func drafts(site, user string) *item {
	name := DraftsName(user)
	return &item{
		kind: kindWorkbook, luid: WorkbookLUID(site, defaultProject, name), site: site, project: defaultProject,
		name: name, owner: user, views: []string{"Notes"}, changed: contentEpoch,
	}
}

// view is one sheet of a workbook.
type view struct {
	book *item
	name string
}

func (v view) luid() string { return ViewLUID(v.book.site, v.book.project, v.book.name, v.name) }

// viewsOf lists the views of workbooks.
func viewsOf(books ...*item) []view {
	var out []view
	for _, b := range books {
		for _, name := range b.views {
			out = append(out, view{b, name})
		}
	}
	return out
}

// sampleItems is the default content. The first user of each site owns the
// confidential workbook, the second the others.
func sampleItems(accounts *registry) []*item {
	var out []*item
	for _, site := range accounts.sites {
		users := accounts.usersOf(site.ContentURL)
		if len(users) == 0 {
			continue
		}
		first, second := users[0].Name, users[min(1, len(users)-1)].Name
		add := func(kind itemKind, name, owner string, readers []string, views ...string) {
			id := WorkbookLUID
			if kind == kindDatasource {
				id = DatasourceLUID
			}
			out = append(out, &item{
				kind: kind, luid: id(site.ContentURL, "Reports", name), site: site.ContentURL, project: "Reports",
				name: name, owner: owner, readers: readers, views: views, changed: contentEpoch,
			})
		}
		add(kindWorkbook, site.Name+" Overview", second, []string{"*"}, "Overview", "By Region", "Trend")
		add(kindWorkbook, "Quarterly Close", first, nil, "Close", "Accruals")
		add(kindWorkbook, "Pipeline", second, nil, "Pipeline")
		add(kindDatasource, site.Name+" Orders", second, []string{"*"})
		add(kindDatasource, "Payroll", first, nil)
	}
	return out
}
