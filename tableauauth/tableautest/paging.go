// This file filters, sorts and pages lists.

package tableautest

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPageSize = 100
	maxPageSize     = 1000
)

// list answers with the asked page of what passes the filter.
func (x *exchange) list(name string, items []*node) (answer, *apiError) {
	q := x.r.URL.Query()
	items, err := filtered(items, q.Get("filter"))
	if err != nil {
		return answer{}, err
	}
	if err := sortBy(items, q.Get("sort")); err != nil {
		return answer{}, err
	}
	page, pagination, err := paged(items, q)
	if err != nil {
		return answer{}, err
	}
	return ok(pagination, listOf(name, page))
}

// paged cuts out the page that pageNumber and pageSize ask for.
func paged(items []*node, q url.Values) ([]*node, *node, *apiError) {
	size, ok := positive(q, "pageSize", defaultPageSize, maxPageSize)
	if !ok {
		return nil, nil, fail(codeBadPageSize, summaryBadRequest, "The page size must be a number from 1 to 1000.")
	}
	number, ok := positive(q, "pageNumber", 1, 1<<31-1)
	if !ok {
		return nil, nil, fail(codeBadPageNumber, summaryBadRequest, "The page number must be a positive number.")
	}
	total := len(items)
	start := min((number-1)*size, total)
	if start == total && total > 0 {
		return nil, nil, fail(codeBadPageNumber, summaryBadRequest, "The page number is greater than the number of pages.")
	}
	pagination := el("pagination", at("pageNumber", strconv.Itoa(number)), at("pageSize", strconv.Itoa(size)),
		at("totalAvailable", strconv.Itoa(total)))
	return items[start:min(start+size, total)], pagination, nil
}

func positive(q url.Values, name string, fallback, most int) (int, bool) {
	if !q.Has(name) {
		return fallback, true
	}
	n, err := strconv.Atoi(q.Get(name))
	return n, err == nil && n >= 1 && n <= most
}

// filtered keeps what fulfils every condition of a filter such as
// "name:eq:Sales,ownerName:in:[a,b]".
func filtered(items []*node, filter string) ([]*node, *apiError) {
	if filter == "" {
		return items, nil
	}
	conditions, err := parseFilter(filter)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(items), func(n *node) bool {
		return slices.ContainsFunc(conditions, func(c condition) bool { return !c.holds(n) })
	}), nil
}

// condition compares one field with one or more values.
type condition struct {
	field, operator string
	values          []string
}

// filterFields are the fields that can be filtered and sorted by.
var filterFields = []string{"name", "contentUrl", "ownerName", "projectName", "siteRole", "status"}

func parseFilter(filter string) ([]condition, *apiError) {
	var out []condition
	for _, text := range splitOutsideBrackets(filter) {
		parts := strings.SplitN(text, ":", 3)
		if len(parts) != 3 || !slices.Contains(filterFields, parts[0]) {
			return nil, fail(codeBadFilter, summaryBadRequest, "The filter is not understood.")
		}
		c := condition{field: parts[0], operator: parts[1], values: []string{parts[2]}}
		switch c.operator {
		case "in":
			c.values = strings.Split(strings.Trim(parts[2], "[]"), ",")
		case "eq", "has":
		default:
			return nil, fail(codeBadFilter, summaryBadRequest, "The filter's operator is not known.")
		}
		out = append(out, c)
	}
	return out, nil
}

// splitOutsideBrackets splits at commas, but not within [a,b].
func splitOutsideBrackets(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return r == ',' && depth == 0
	})
}

func (c condition) holds(n *node) bool {
	value := n.field(c.field)
	if c.operator == "has" {
		return strings.Contains(strings.ToLower(value), strings.ToLower(c.values[0]))
	}
	return slices.Contains(c.values, value)
}

// field is an attribute, or the name of the owner or project.
func (n *node) field(name string) string {
	if child, ok := strings.CutSuffix(name, "Name"); ok {
		for _, c := range n.children {
			if c.name == child {
				value, _ := c.attr("name")
				return value
			}
		}
		return ""
	}
	value, _ := n.attr(name)
	return value
}

// sortBy sorts by one field, such as "name:desc".
func sortBy(items []*node, order string) *apiError {
	if order == "" {
		return nil
	}
	field, direction, _ := strings.Cut(order, ":")
	if !slices.Contains(filterFields, field) || (direction != "asc" && direction != "desc") {
		return fail(codeBadFilter, summaryBadRequest, "The sort order is not understood.")
	}
	slices.SortStableFunc(items, func(a, b *node) int {
		c := cmp.Compare(a.field(field), b.field(field))
		if direction == "desc" {
			return -c
		}
		return c
	})
	return nil
}
