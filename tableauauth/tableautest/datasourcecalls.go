// This file serves data sources, and the refreshing of content.

package tableautest

func (x *exchange) datasources() []*item {
	return x.t.content.visible(kindDatasource, x.site.ContentURL, x.user)
}

func (x *exchange) datasource() (*item, *apiError) {
	return x.datasourceByLUID(x.params["datasource"])
}

func (x *exchange) datasourceByLUID(luid string) (*item, *apiError) {
	i := x.t.content.find(kindDatasource, x.site.ContentURL, luid, x.user)
	if i == nil {
		return nil, notFound(codeSourceNotFound, "Data source")
	}
	return i, nil
}

func (x *exchange) queryDatasources() (answer, *apiError) {
	return x.list("datasources", itemNodes(x.datasources()))
}

func (x *exchange) getDatasource() (answer, *apiError) {
	i, err := x.datasource()
	if err != nil {
		return answer{}, err
	}
	return ok(i.node())
}

func (x *exchange) deleteDatasource() (answer, *apiError) {
	i, err := x.datasource()
	if err != nil {
		return answer{}, err
	}
	return x.deleteItem(i)
}

func (x *exchange) downloadDatasource() (answer, *apiError) {
	i, err := x.datasource()
	if err != nil {
		return answer{}, err
	}
	return i.download("tdsx")
}

func (x *exchange) refreshWorkbook() (answer, *apiError) {
	if _, err := x.book(); err != nil {
		return answer{}, err
	}
	return x.accepted("RefreshExtract")
}

func (x *exchange) refreshDatasource() (answer, *apiError) {
	if _, err := x.datasource(); err != nil {
		return answer{}, err
	}
	return x.accepted("RefreshExtract")
}

// updateHyper accepts an update of a data source's rows.
func (x *exchange) updateHyper() (answer, *apiError) {
	if _, err := x.datasource(); err != nil {
		return answer{}, err
	}
	if x.t.opts.Undocumented.HyperRequestID && x.r.Header.Get("RequestID") == "" {
		return answer{}, badRequest("The RequestID header is missing.")
	}
	if id := x.r.URL.Query().Get(paramUpload); id != "" {
		if _, err := x.findUpload(id); err != nil {
			return answer{}, err
		}
	}
	return x.accepted("UpdateHyperData")
}
