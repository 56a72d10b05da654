// This file serves workbooks and views.

package tableautest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	typeOctets = "application/octet-stream"
	typePNG    = "image/png"
	typePDF    = "application/pdf"
	typeCSV    = "text/csv;charset=utf-8"
)

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// node describes an item.
func (i *item) node() *node {
	n := el(string(i.kind), at("id", i.luid), at("name", i.name), at("contentUrl", contentName(i.name)),
		at("size", strconv.FormatInt(max(1, i.size>>20), 10)),
		at("createdAt", timestamp(contentEpoch)), at("updatedAt", timestamp(i.changed)))
	if i.kind == kindWorkbook {
		n.attrs = append(n.attrs, at("showTabs", "false"))
	} else {
		n.attrs = append(n.attrs, at("type", "textscan"), at("isCertified", "false"))
	}
	return n.add(i.projectNode(), i.ownerNode(), el("tags"))
}

func (i *item) projectNode() *node {
	return el("project", at("id", ProjectLUID(i.site, i.project)), at("name", i.project))
}

func (i *item) ownerNode() *node {
	return el("owner", at("id", UserLUID(i.site, i.owner)), at("name", i.owner))
}

// contentName is a name as Tableau writes it into URLs.
func contentName(name string) string { return strings.ReplaceAll(name, " ", "") }

func (v view) node() *node {
	return el("view", at("id", v.luid()), at("name", v.name),
		at("contentUrl", contentName(v.book.name)+"/sheets/"+contentName(v.name)), at("viewUrlName", contentName(v.name)),
		at("createdAt", timestamp(contentEpoch)), at("updatedAt", timestamp(v.book.changed))).
		add(el("workbook", at("id", v.book.luid)), v.book.ownerNode(), v.book.projectNode())
}

func itemNodes(items []*item) []*node {
	nodes := make([]*node, 0, len(items))
	for _, i := range items {
		nodes = append(nodes, i.node())
	}
	return nodes
}

func viewNodes(views []view) []*node {
	nodes := make([]*node, 0, len(views))
	for _, v := range views {
		nodes = append(nodes, v.node())
	}
	return nodes
}

// books are the workbooks that the session's user sees.
func (x *exchange) books() []*item {
	return x.t.content.visible(kindWorkbook, x.site.ContentURL, x.user)
}

func (x *exchange) book() (*item, *apiError) {
	i := x.t.content.find(kindWorkbook, x.site.ContentURL, x.params["workbook"], x.user)
	if i == nil {
		return nil, notFound(codeWorkbookNotFound, "Workbook")
	}
	return i, nil
}

func (x *exchange) queryWorkbooks() (answer, *apiError) {
	return x.list("workbooks", itemNodes(x.books()))
}

func (x *exchange) getWorkbook() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return ok(i.node().add(listOf("views", viewNodes(viewsOf(i)))))
}

func (x *exchange) deleteWorkbook() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return x.deleteItem(i)
}

func (x *exchange) deleteItem(i *item) (answer, *apiError) {
	if i.owner != x.user.Name && !x.user.siteAdmin() {
		return answer{}, forbidden("only the owner and administrators may delete it")
	}
	x.t.content.remove(i)
	return noContent, nil
}

func (x *exchange) downloadWorkbook() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return i.download("twbx")
}

func (i *item) download(extension string) (answer, *apiError) {
	file, err := i.file()
	if err != nil {
		return answer{}, err
	}
	disposition := `name="tableau_` + string(i.kind) + `"; filename="` + fileName(i.name) + "." + extension + `"`
	return answer{
		status: http.StatusOK, content: file, modified: i.changed, contentType: typeOctets,
		header: http.Header{"Content-Disposition": {disposition}},
	}, nil
}

// fileName is a name that can stand in a quoted header value and in a folder.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/:*?<>|`, r) {
			return '_'
		}
		return r
	}, name)
}

func (x *exchange) workbookPDF() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return raw(typePDF, page(i.name, "Seen by "+x.user.Name)), nil
}

func (x *exchange) workbookImage() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return x.image(i.luid)
}

func (x *exchange) image(seed string) (answer, *apiError) {
	picture, err := chart(seed, x.user.Name)
	if err != nil {
		return answer{}, badRequest(err.Error())
	}
	return raw(typePNG, picture), nil
}

func raw(contentType string, body []byte) answer {
	return answer{status: http.StatusOK, contentType: contentType, raw: body}
}

func (x *exchange) queryWorkbookViews() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return ok(listOf("views", viewNodes(viewsOf(i))))
}

func (x *exchange) workbookConnections() (answer, *apiError) {
	i, err := x.book()
	if err != nil {
		return answer{}, err
	}
	return ok(listOf("connections", []*node{
		el("connection", at("id", luid("connection", i.luid)), at("type", "textscan"), at("serverAddress", ""), at("userName", "")),
	}))
}

func (x *exchange) queryViews() (answer, *apiError) {
	return x.list("views", viewNodes(viewsOf(x.books()...)))
}

func (x *exchange) view() (view, *apiError) {
	for _, v := range viewsOf(x.books()...) {
		if v.luid() == x.params["view"] {
			return v, nil
		}
	}
	return view{}, notFound(codeViewNotFound, "View")
}

func (x *exchange) getView() (answer, *apiError) {
	v, err := x.view()
	if err != nil {
		return answer{}, err
	}
	return ok(v.node())
}

func (x *exchange) viewImage() (answer, *apiError) {
	v, err := x.view()
	if err != nil {
		return answer{}, err
	}
	return x.image(v.luid())
}

func (x *exchange) viewPDF() (answer, *apiError) {
	v, err := x.view()
	if err != nil {
		return answer{}, err
	}
	return raw(typePDF, page(v.book.name, v.name, "Seen by "+x.user.Name)), nil
}

func (x *exchange) viewData() (answer, *apiError) {
	v, err := x.view()
	if err != nil {
		return answer{}, err
	}
	return answer{
		status: http.StatusOK, content: io.ReadSeeker(strings.NewReader(csvOf(v.luid(), x.user.Name))),
		modified: v.book.changed, contentType: typeCSV,
	}, nil
}
