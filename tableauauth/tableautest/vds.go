// This file serves the VizQL Data Service.

package tableautest

import "encoding/json"

// vdsRequest is the body of its calls.
type vdsRequest struct {
	Datasource struct {
		LUID string `json:"datasourceLuid"`
	} `json:"datasource"`
	Query struct {
		Fields []struct {
			Caption  string `json:"fieldCaption"`
			Function string `json:"function"`
		} `json:"fields"`
	} `json:"query"`
}

// readVDS reads the body and finds the data source.
func (x *exchange) readVDS() (vdsRequest, *item, *apiError) {
	var req vdsRequest
	body, err := x.readBody()
	if err != nil {
		return req, nil, err
	}
	if json.Unmarshal(body, &req) != nil {
		return req, nil, badRequest(detailMalformed).because("not JSON")
	}
	i, err := x.datasourceByLUID(req.Datasource.LUID)
	return req, i, err
}

func (x *exchange) vdsQuery() (answer, *apiError) {
	req, source, err := x.readVDS()
	if err != nil {
		return answer{}, err
	}
	if len(req.Query.Fields) == 0 {
		return answer{}, badRequest("The query has no fields.")
	}
	rows := make([]map[string]any, 0, len(regions))
	for i, value := range sales(source.luid) {
		row := map[string]any{}
		for _, f := range req.Query.Fields {
			key, cell, known := x.cell(f.Caption, f.Function, regions[i], value)
			if !known {
				return answer{}, badRequest("Unknown field: " + f.Caption)
			}
			row[key] = cell
		}
		rows = append(rows, row)
	}
	return raw(typeJSON, mustJSON(map[string]any{"data": rows})), nil
}

// cell is one value of a row. The field "Seen By" shows whose session it is.
func (x *exchange) cell(caption, function, region string, value int) (key string, cell any, known bool) {
	key = caption
	if function != "" {
		key = function + "(" + caption + ")"
	}
	switch caption {
	case "Region":
		return key, region, true
	case "Sales":
		return key, value, true
	case "Seen By":
		return key, x.user.Name, true
	default:
		return "", nil, false
	}
}

func (x *exchange) vdsMetadata() (answer, *apiError) {
	_, source, err := x.readVDS()
	if err != nil {
		return answer{}, err
	}
	var fields []any
	for _, f := range []struct{ name, dataType string }{{"Region", "STRING"}, {"Sales", "INTEGER"}, {"Seen By", "STRING"}} {
		fields = append(fields, map[string]any{
			"fieldName": f.name, "fieldCaption": f.name, "dataType": f.dataType, "logicalTableId": luid("table", source.luid),
		})
	}
	return raw(typeJSON, mustJSON(map[string]any{"data": fields})), nil
}
