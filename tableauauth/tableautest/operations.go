// This file is the table of operations: what is served, and which JWT scopes
// each needs.

package tableautest

import "slices"

// Operation is a method of Tableau's API that the server knows.
type Operation struct {
	// Name is unique, such as "query_workbooks_for_site".
	Name   string
	Method string
	// Template is the path with parameters in braces; {version} is the API
	// version and {site} a site's LUID.
	Template string
	// Query, if set, is the query parameter whose presence tells this
	// operation from another with the same method and template.
	Query string
	// Scopes that a session from a JWT must have, all of them.
	Scopes []string
	// AcceptsJWT is false for operations that refuse sessions from a JWT.
	AcceptsJWT bool
	// Unauthenticated operations need no session.
	Unauthenticated bool
	// Admin operations need a server administrator.
	Admin bool
	// CloudOnly and ServerOnly operations exist in one product only.
	CloudOnly, ServerOnly bool

	// Example is a path that works on the default content of the site
	// "finance", as the user ExampleUser (on Tableau Cloud, followed by
	// @example.com). ExampleBody and ExampleType go with it. What does not
	// exist from the beginning stands in braces: {upload}, {job}, {session},
	// {client}, {secret}, {pat} and, in a body, {password}.
	Example, ExampleBody, ExampleType, ExampleUser string
}

// operation is an Operation with what serves it.
type operation struct {
	Operation
	style    style
	segments []string
	handle   func(*exchange) (answer, *apiError)
}

// Names of operations that the code refers to.
const (
	opSignIn     = "sign_in"
	opServerInfo = "server_info"
)

// Scopes by which the table names them.
const (
	scopeContent       = "tableau:content:read"
	scopeFileUpload    = "tableau:file_uploads:create"
	scopeUsers         = "tableau:users:read"
	scopeGroups        = "tableau:groups:read"
	scopeJobs          = "tableau:jobs:read"
	scopeViewDownload  = "tableau:views:download"
	scopeBookDownload  = "tableau:workbooks:download"
	scopeBookCreate    = "tableau:workbooks:create"
	scopeSourceCreate  = "tableau:datasources:create"
	scopeTasksRun      = "tableau:tasks:run"
	scopeVDS           = "tableau:viz_data_service:read"
	scopeDefinitions   = "tableau:insight_definitions_metrics:read"
	scopeSubscriptions = "tableau:metric_subscriptions:read"
)

// Operations returns the table of all operations served.
func Operations() []Operation {
	out := make([]Operation, 0, len(operationTable))
	for _, op := range operationTable {
		o := op.Operation
		o.Scopes = slices.Clone(o.Scopes)
		out = append(out, o)
	}
	return out
}

type handler = func(*exchange) (answer, *apiError)

// rest is an entry of the REST API.
func rest(name, method, template string, handle handler, scopes ...string) operation {
	return operation{
		Operation: Operation{Name: name, Method: method, Template: template, AcceptsJWT: true, Scopes: scopes},
		handle:    handle,
	}
}

// with changes the entry; the setters below say what can be changed.
func (o operation) with(change func(*operation)) operation {
	change(&o)
	return o
}

func open(o *operation)       { o.Unauthenticated = true }
func admin(o *operation)      { o.Admin = true }
func noJWT(o *operation)      { o.AcceptsJWT = false }
func cloudOnly(o *operation)  { o.CloudOnly = true }
func serverOnly(o *operation) { o.ServerOnly = true }

func query(name string) func(*operation) { return func(o *operation) { o.Query = name } }
func in(s style) func(*operation)        { return func(o *operation) { o.style = s } }

// operationTable is filled in init, because handlers refer to it. An entry
// with Query stands before its sibling without.
var operationTable []operation

func init() {
	operationTable = slices.Concat(sessionOperations(), siteOperations(), workbookOperations(),
		viewOperations(), datasourceOperations(), peopleOperations(), otherOperations())
	for i := range operationTable {
		operationTable[i].segments = splitPath(operationTable[i].Template)
		addExample(&operationTable[i].Operation)
	}
}

const (
	apiRoot  = "/api/{version}"
	siteRoot = "/api/{version}/sites/{site}"
)

func sessionOperations() []operation {
	return []operation{
		rest(opSignIn, "POST", apiRoot+"/auth/signin", (*exchange).signIn).with(open),
		rest("sign_out", "POST", apiRoot+"/auth/signout", (*exchange).signOut),
		rest("switch_site", "POST", apiRoot+"/auth/switchSite", (*exchange).switchSite, "tableau:sites:switch"),
		rest("revoke_administrator_personal_access_tokens", "DELETE", apiRoot+"/auth/serverAdminAccessTokens",
			(*exchange).revokeAdminPATs, "tableau:server_admin_tokens:delete").with(admin).with(serverOnly),
		rest("get_current_server_session", "GET", apiRoot+"/sessions/current", (*exchange).currentSession),
		rest("delete_server_session", "DELETE", apiRoot+"/sessions/{session}", (*exchange).deleteSession, "tableau:sessions:delete"),
		rest(opServerInfo, "GET", apiRoot+"/serverinfo", (*exchange).serverInfo).with(open),
	}
}

func siteOperations() []operation {
	return []operation{
		rest("query_sites", "GET", apiRoot+"/sites", (*exchange).querySites, "tableau:sites:read"),
		rest("query_site", "GET", siteRoot, (*exchange).querySite, "tableau:sites:read"),
		rest("query_projects", "GET", siteRoot+"/projects", (*exchange).queryProjects, scopeContent),
		rest("get_tableau_mcp_settings_for_site", "GET", siteRoot+"/settings/mcp", (*exchange).mcpSettings, "tableau:mcp_site_settings:read"),
		rest("query_jobs", "GET", siteRoot+"/jobs", (*exchange).queryJobs, scopeJobs),
		rest("query_job", "GET", siteRoot+"/jobs/{job}", (*exchange).queryJob, scopeJobs),
		rest("initiate_file_upload", "POST", siteRoot+"/fileUploads", (*exchange).initiateUpload, scopeFileUpload),
		rest("append_to_file_upload", "PUT", siteRoot+"/fileUploads/{upload}", (*exchange).appendUpload, scopeFileUpload),
		rest("list_connected_apps", "GET", siteRoot+"/connected-apps/direct-trust", (*exchange).listApps,
			"tableau:connected_apps_direct_trust:read").with(admin),
		rest("get_connected_app_secret", "GET", siteRoot+"/connected-apps/direct-trust/{client}/secrets/{secret}",
			(*exchange).getAppSecret).with(admin).with(noJWT),
		rest("delete_connected_app_secret", "DELETE", siteRoot+"/connected-apps/direct-trust/{client}/secrets/{secret}",
			(*exchange).deleteAppSecret, "tableau:connected_app_direct_trust_secrets:delete").with(admin),
	}
}

func workbookOperations() []operation {
	root, one := siteRoot+"/workbooks", siteRoot+"/workbooks/{workbook}"
	return []operation{
		rest("query_workbooks_for_site", "GET", root, (*exchange).queryWorkbooks, scopeContent),
		rest("publish_workbook_chunked", "POST", root, (*exchange).publishWorkbook, scopeBookCreate, scopeFileUpload).with(query(paramUpload)),
		rest("publish_workbook", "POST", root, (*exchange).publishWorkbook, scopeBookCreate),
		rest("get_workbook", "GET", one, (*exchange).getWorkbook, scopeContent),
		rest("delete_workbook", "DELETE", one, (*exchange).deleteWorkbook, "tableau:workbooks:delete"),
		rest("download_workbook", "GET", one+"/content", (*exchange).downloadWorkbook, scopeBookDownload),
		rest("download_workbook_pdf", "GET", one+"/pdf", (*exchange).workbookPDF, scopeBookDownload),
		rest("query_workbook_preview_image", "GET", one+"/previewImage", (*exchange).workbookImage, scopeBookDownload),
		rest("query_views_for_workbook", "GET", one+"/views", (*exchange).queryWorkbookViews, scopeContent),
		rest("query_workbook_connections", "GET", one+"/connections", (*exchange).workbookConnections, scopeContent),
		rest("update_workbook_now", "POST", one+"/refresh", (*exchange).refreshWorkbook, scopeTasksRun),
	}
}

func viewOperations() []operation {
	one := siteRoot + "/views/{view}"
	return []operation{
		rest("query_views_for_site", "GET", siteRoot+"/views", (*exchange).queryViews, scopeContent),
		rest("get_view", "GET", one, (*exchange).getView, scopeContent),
		rest("query_view_image", "GET", one+"/image", (*exchange).viewImage, scopeViewDownload),
		rest("query_view_pdf", "GET", one+"/pdf", (*exchange).viewPDF, scopeViewDownload),
		rest("query_view_data", "GET", one+"/data", (*exchange).viewData, scopeViewDownload),
	}
}

func datasourceOperations() []operation {
	root, one := siteRoot+"/datasources", siteRoot+"/datasources/{datasource}"
	return []operation{
		rest("query_data_sources", "GET", root, (*exchange).queryDatasources, scopeContent),
		rest("publish_data_source_chunked", "POST", root, (*exchange).publishDatasource, scopeSourceCreate, scopeFileUpload).with(query(paramUpload)),
		rest("publish_data_source", "POST", root, (*exchange).publishDatasource, scopeSourceCreate),
		rest("query_data_source", "GET", one, (*exchange).getDatasource, scopeContent),
		rest("delete_data_source", "DELETE", one, (*exchange).deleteDatasource, "tableau:datasources:delete"),
		rest("download_data_source", "GET", one+"/content", (*exchange).downloadDatasource, "tableau:datasources:download"),
		rest("update_data_source_now", "POST", one+"/refresh", (*exchange).refreshDatasource, scopeTasksRun),
		rest("update_data_in_hyper_data_source", "PATCH", one+"/data", (*exchange).updateHyper, "tableau:hyper_data:update"),
	}
}

func peopleOperations() []operation {
	user := siteRoot + "/users/{user}"
	return []operation{
		rest("get_users_on_site", "GET", siteRoot+"/users", (*exchange).queryUsers, scopeUsers),
		rest("query_user_on_site", "GET", user, (*exchange).queryUser, scopeUsers),
		rest("get_groups_for_a_user", "GET", user+"/groups", (*exchange).queryUserGroups, scopeUsers),
		rest("query_workbooks_for_user", "GET", user+"/workbooks", (*exchange).queryUserWorkbooks, scopeContent),
		rest("list_personal_access_tokens", "GET", user+"/personal-access-tokens", (*exchange).listPATs).with(noJWT).with(cloudOnly),
		rest("revoke_personal_access_token", "DELETE", user+"/personal-access-tokens/{pat}", (*exchange).revokePAT).with(noJWT).with(cloudOnly),
		rest("query_groups", "GET", siteRoot+"/groups", (*exchange).queryGroups, scopeGroups),
		rest("get_users_in_group", "GET", siteRoot+"/groups/{group}/users", (*exchange).queryGroupUsers, scopeGroups),
	}
}

func otherOperations() []operation {
	vds, pulse := "/api/v1/vizql-data-service", "/api/-/pulse"
	return []operation{
		rest("metadata_graphql", "POST", "/api/metadata/graphql", (*exchange).graphQL, scopeContent).with(in(styleGraphQL)),
		rest("vds_query_datasource", "POST", vds+"/query-datasource", (*exchange).vdsQuery, scopeVDS).with(in(styleVDS)),
		rest("vds_read_metadata", "POST", vds+"/read-metadata", (*exchange).vdsMetadata, scopeVDS).with(in(styleVDS)),
		rest("list_metric_definitions", "GET", pulse+"/definitions", (*exchange).pulseDefinitions, scopeDefinitions).with(in(stylePulse)),
		rest("batch_list_metric_definitions_few", "GET", pulse+"/definitions:batchGet", (*exchange).pulseBatch, scopeDefinitions).with(in(stylePulse)),
		rest("get_metric_definition", "GET", pulse+"/definitions/{definition}", (*exchange).pulseDefinition, scopeDefinitions).with(in(stylePulse)),
		rest("list_subscriptions", "GET", pulse+"/subscriptions", (*exchange).pulseSubscriptions, scopeSubscriptions).with(in(stylePulse)),
		rest("get_content_search_results", "GET", "/api/-/search", (*exchange).searchContent, scopeContent),
	}
}
