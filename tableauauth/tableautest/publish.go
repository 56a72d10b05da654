// This file makes workbooks and data sources out of files.

package tableautest

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
)

// publishPayload is the wire form of a publish request's description.
type publishPayload struct {
	XMLName    xml.Name        `xml:"tsRequest" json:"-"`
	Workbook   *publishedThing `xml:"workbook" json:"workbook"`
	Datasource *publishedThing `xml:"datasource" json:"datasource"`
}

type publishedThing struct {
	Name    string `xml:"name,attr" json:"name"`
	Project *struct {
		ID string `xml:"id,attr" json:"id"`
	} `xml:"project" json:"project"`
}

// publication is a publish request on its way.
type publication struct {
	kind    itemKind
	payload publishPayload
	file    sink
	chunks  *upload
}

func (x *exchange) publishWorkbook() (answer, *apiError)   { return x.publish(kindWorkbook) }
func (x *exchange) publishDatasource() (answer, *apiError) { return x.publish(kindDatasource) }

func (x *exchange) publish(kind itemKind) (answer, *apiError) {
	p := &publication{kind: kind, file: newSink(x.t.opts.KeepBytes)}
	id := x.r.URL.Query().Get(paramUpload)
	if id != "" {
		var err *apiError
		if p.chunks, err = x.findUpload(id); err != nil {
			return answer{}, err
		}
	}
	if err := x.readPublication(p); err != nil {
		return answer{}, err
	}
	i, err := x.publishedItem(p)
	if err != nil {
		return answer{}, err
	}
	x.t.content.put(i)
	if x.r.URL.Query().Get("asJob") == "true" {
		return x.accepted("Publish" + string(kind))
	}
	return answer{status: http.StatusCreated, nodes: []*node{i.node()}}, nil
}

var errTooLarge = errors.New("too large to publish in one request")

// readPublication reads the description, and the file unless it was uploaded.
func (x *exchange) readPublication(p *publication) *apiError {
	filePart := "tableau_" + string(p.kind)
	tooLarge := false
	seen, err := x.readParts(func(name string, part io.Reader) error {
		switch name {
		case "request_payload":
			return readPublishPayload(part, &p.payload)
		case filePart:
			_, err := io.Copy(&p.file, io.LimitReader(part, x.t.opts.SinglePublishLimit+1))
			tooLarge = p.file.bytes > x.t.opts.SinglePublishLimit
			if tooLarge {
				return errTooLarge
			}
			return err
		default:
			return discard(part)
		}
	})
	switch {
	case tooLarge:
		return fail(codeTooLarge, summaryBadRequest, "A file of this size must be published through fileUploads.")
	case err != nil:
		return err
	case !slices.Contains(seen, "request_payload"):
		return badRequest(detailMalformed).because("no part is named request_payload")
	case p.chunks == nil && !slices.Contains(seen, filePart):
		return badRequest(detailMalformed).because("no part is named %s", filePart)
	}
	return nil
}

func readPublishPayload(part io.Reader, p *publishPayload) error {
	body, err := io.ReadAll(io.LimitReader(part, maxPayload))
	if err != nil {
		return err
	}
	return parsePayload(body, p)
}

// publishedItem checks name, project and conflicts.
func (x *exchange) publishedItem(p *publication) (*item, *apiError) {
	thing := p.payload.Workbook
	if p.kind == kindDatasource {
		thing = p.payload.Datasource
	}
	if thing == nil || thing.Name == "" {
		return nil, badRequest(detailMalformed).because("the %s has no name", p.kind)
	}
	project, err := x.projectOf(thing)
	if err != nil {
		return nil, err
	}
	old := x.t.content.named(p.kind, x.site.ContentURL, project, thing.Name)
	if old != nil && x.r.URL.Query().Get("overwrite") != "true" {
		return nil, fail(codeConflict, "Resource Conflict", "An item of this name exists already.")
	}
	if old != nil && old.owner != x.user.Name && !x.user.siteAdmin() {
		return nil, forbidden("only the owner and administrators may overwrite it")
	}
	i := &item{
		kind: p.kind, site: x.site.ContentURL, project: project, name: thing.Name, owner: x.user.Name,
		published: true, changed: x.t.clock().UTC(),
	}
	i.identify()
	p.fill(i)
	return i, nil
}

func (x *exchange) projectOf(thing *publishedThing) (string, *apiError) {
	if thing.Project == nil || thing.Project.ID == "" {
		return defaultProject, nil
	}
	for _, name := range projects {
		if ProjectLUID(x.site.ContentURL, name) == thing.Project.ID {
			return name, nil
		}
	}
	return "", notFound(codeProjectNotFound, "Project")
}

func (i *item) identify() {
	if i.kind == kindDatasource {
		i.luid = DatasourceLUID(i.site, i.project, i.name)
		return
	}
	i.luid, i.views = WorkbookLUID(i.site, i.project, i.name), []string{"Sheet 1"}
}

// fill moves the file into the item.
func (p *publication) fill(i *item) {
	file := &p.file
	if p.chunks != nil {
		p.chunks.mu.Lock()
		defer p.chunks.mu.Unlock()
		p.chunks.Published = i.luid
		file = &p.chunks.sink
	}
	i.size, i.data, i.sha256 = file.bytes, file.kept(), file.sum()
}
