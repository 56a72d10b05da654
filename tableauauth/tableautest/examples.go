// This file gives every operation a request that works.

package tableautest

import (
	"net/url"
	"strings"
)

// The names from the default content that examples use.
const (
	exampleSite    = "finance"
	exampleBook    = "Finance Overview"
	exampleView    = "Overview"
	exampleSource  = "Finance Orders"
	exampleVersion = "3.27"
	boundary       = "tableautest"
)

var exampleParams = strings.NewReplacer(
	"{version}", exampleVersion,
	"{site}", SiteLUID(exampleSite),
	"{workbook}", WorkbookLUID(exampleSite, "Reports", exampleBook),
	"{view}", ViewLUID(exampleSite, "Reports", exampleBook, exampleView),
	"{datasource}", DatasourceLUID(exampleSite, "Reports", exampleSource),
	"{user}", UserLUID(exampleSite, "alice"),
	"{group}", GroupLUID(exampleSite, groups[0]),
	"{definition}", DefinitionLUID(DatasourceLUID(exampleSite, "Reports", exampleSource)),
	"definitions:batchGet", "definitions%3AbatchGet",
)

// addExample fills the example of an operation.
func addExample(o *Operation) {
	o.Example = exampleParams.Replace(o.Template)
	o.ExampleUser = exampleUser(o)
	switch o.Name {
	case opSignIn:
		o.ExampleBody, o.ExampleType = `<tsRequest><credentials name="alice" password="{password}"><site contentUrl="finance"/></credentials></tsRequest>`, typeXML
	case "switch_site":
		o.ExampleBody, o.ExampleType = `<tsRequest><site contentUrl="marketing"/></tsRequest>`, typeXML
	case "publish_workbook":
		o.ExampleBody, o.ExampleType = examplePublish("workbook", true)
	case "publish_workbook_chunked":
		o.Example += "?" + paramUpload + "={upload}&workbookType=twbx&overwrite=true"
		o.ExampleBody, o.ExampleType = examplePublish("workbook", false)
	case "publish_data_source":
		o.ExampleBody, o.ExampleType = examplePublish("datasource", true)
	case "publish_data_source_chunked":
		o.Example += "?" + paramUpload + "={upload}&datasourceType=tdsx&overwrite=true"
		o.ExampleBody, o.ExampleType = examplePublish("datasource", false)
	case "append_to_file_upload":
		o.ExampleBody, o.ExampleType = multipartBody(
			part{"request_payload", "", ""}, part{"tableau_file", "file", "some bytes of a file"})
	case "metadata_graphql":
		o.ExampleBody, o.ExampleType = `{"query":"{ workbooks { name luid owner { username } } }"}`, "application/json"
	case "vds_query_datasource", "vds_read_metadata":
		o.ExampleBody, o.ExampleType = `{"datasource":{"datasourceLuid":"`+DatasourceLUID(exampleSite, "Reports", exampleSource)+
			`"},"query":{"fields":[{"fieldCaption":"Region"},{"fieldCaption":"Sales","function":"SUM"}]}}`, "application/json"
	case "batch_list_metric_definitions_few":
		o.Example += "?definition_ids=" + url.QueryEscape(DefinitionLUID(DatasourceLUID(exampleSite, "Reports", exampleSource)))
	case "get_content_search_results":
		o.Example += "?terms=overview"
	}
}

// exampleUser is alice, except where an administrator is needed.
func exampleUser(o *Operation) string {
	switch o.Name {
	case "query_sites", "get_users_on_site", "get_users_in_group", "delete_workbook", "delete_data_source":
		return "admin"
	}
	if o.Admin {
		return "admin"
	}
	return "alice"
}

// examplePublish is a publish request's body, with or without the file.
func examplePublish(kind string, withFile bool) (body, contentType string) {
	parts := []part{{
		"request_payload", "",
		`<tsRequest><` + kind + ` name="Published example"><project id="` + ProjectLUID(exampleSite, "Sandbox") + `"/></` + kind + `></tsRequest>`,
	}}
	if withFile {
		parts = append(parts, part{"tableau_" + kind, "example.twbx", "PK\x05\x06 example"})
	}
	return multipartBody(parts...)
}

// part is one part of a multipart/mixed body.
type part struct{ name, filename, content string }

func multipartBody(parts ...part) (body, contentType string) {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: name=\"" + p.name + "\"")
		if p.filename != "" {
			b.WriteString("; filename=\"" + p.filename + "\"")
		}
		b.WriteString("\r\nContent-Type: application/octet-stream\r\n\r\n" + p.content + "\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.String(), "multipart/mixed; boundary=" + boundary
}
