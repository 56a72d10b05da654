package tableauapi_test

// This file compares the catalog with the simulator's table of operations,
// which was written on its own, and is the one that the simulator enforces.

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestCatalogAgreesWithTheSimulator(t *testing.T) {
	served := tableautest.Operations()
	if len(served) < 50 {
		t.Fatalf("the simulator serves only %d operations", len(served))
	}
	for _, want := range served {
		target, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(want.Example))
		if err != nil {
			t.Fatal(err)
		}
		path, err := tableauapi.CanonicalPath(target.EscapedPath())
		if err != nil {
			t.Fatalf("%s: %v", want.Example, err)
		}
		op, ok := tableauapi.Lookup(want.Method, path, target.RawQuery)
		if !ok {
			t.Errorf("%s %s is not known", want.Method, path)
			continue
		}
		if op.Name != want.Name || op.Query != want.Query {
			t.Errorf("%s %s is %s?%s to the simulator, %s?%s to the catalog", want.Method, path, want.Name, want.Query, op.Name, op.Query)
		}
		scopes := append([]string{}, want.Scopes...)
		slices.Sort(scopes)
		if diff := cmp.Diff(scopes, append([]string{}, op.Scopes...)); diff != "" {
			t.Errorf("%s: scopes (-simulator +catalog):\n%s", op.Name, diff)
		}
		if jwt := simulatorJWT(want); op.JWT != jwt {
			t.Errorf("%s: JWT is %s to the simulator, %s to the catalog", op.Name, jwt, op.JWT)
		}
		for _, grouping := range []tableauapi.Grouping{tableauapi.ByOperation, tableauapi.ByResource, tableauapi.ByClass} {
			for _, scope := range want.Scopes {
				if !slices.Contains(op.ScopesFor(grouping, "3.27"), scope) {
					t.Errorf("%s by %v: the simulator wants %s", op.Name, grouping, scope)
				}
			}
		}
	}
}

func simulatorJWT(o tableautest.Operation) tableauapi.JWT {
	switch {
	case o.Unauthenticated:
		return tableauapi.JWTNotNeeded
	case !o.AcceptsJWT:
		return tableauapi.JWTRefused
	default:
		return tableauapi.JWTAccepted
	}
}
