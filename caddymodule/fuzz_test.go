package caddymodule

// This file feeds the Caddyfile parsers with nonsense.

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// FuzzCaddyfile parses tableau_auth, tableau_proxy and the transport. None may
// panic, and what they make must come through JSON as it is, with nothing in it
// that the modules do not know.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"https://tableau.corp.example {\n" + good + "}",
		"https://tableau.corp.example {\n\tsite finance default\n\tuser {http.auth.user.id}\n\tuser_map alice al\n\tunmapped template\n\tforbid_users admin\n}",
		"https://t.example {\n\ttransport {\n\t\tdial_timeout 5s\n\t\ttls_trust_pool inline {\n\t\t\ttrust_der AAAA\n\t\t}\n\t}\n\treplay_buffer 1MiB\n}",
		"tableau {\n\treplay_buffer off\n\tdial_timeout 1s\n}",
		"https://t.example {\n\tcredentials direct_trust {\n\t\tsecret a {env.A}\n\t\tsecret b {env.B}\n\t}\n}",
		"https://t.example {\n\tscopes auto by class\n\tscope_ceiling tableau:a:*\n\tunknown_routes allow\n\tallow GET PUT /sites/*/views/** read\n\tdeny DELETE /**\n\tread_only\n}",
		"https://t.example {\n\tpolicy {http.auth.user.groups} a b {\n\t\tallow read\n\t\tdeny x\n\t\tread_only\n\t}\n\tpolicy default\n}",
		"@matcher https://t.example { }",
		"https://t.example {\n\ttransport {",
		"https://a https://b {\n}\n}",
		"{\n\tsite\n}", "\"", "", "{", "}", "`", "a\\\n b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		for _, directive := range []string{"tableau_auth", "tableau_proxy", "tableau"} {
			tokens, err := caddyfile.Tokenize([]byte(directive+" "+input), "Caddyfile")
			if err != nil {
				return
			}
			switch d := caddyfile.NewDispenser(tokens); directive {
			case "tableau_auth":
				fuzzAuth(t, d)
			case "tableau_proxy":
				fuzzProxy(t, d)
			default:
				fuzzTransport(t, d)
			}
		}
	})
}

func fuzzAuth(t *testing.T, d *caddyfile.Dispenser) {
	t.Helper()
	var h Handler
	if h.UnmarshalCaddyfile(d) == nil {
		survives(t, &h, new(Handler))
	}
}

func fuzzTransport(t *testing.T, d *caddyfile.Dispenser) {
	t.Helper()
	transport := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
	if transport.UnmarshalCaddyfile(d) != nil {
		return
	}
	survives(t, transport, &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)})
	if transport.ReplayBuffer < -1 || transport.ReplayBuffer > maxReplayBuffer {
		t.Errorf("replay_buffer is %d", transport.ReplayBuffer)
	}
}

func fuzzProxy(t *testing.T, d *caddyfile.Dispenser) {
	t.Helper()
	values, err := parseProxy(httpcaddyfile.Helper{Dispenser: d})
	if err != nil {
		return
	}
	for _, value := range values {
		route, ok := value.Value.(caddyhttp.Route)
		if !ok {
			continue
		}
		survives(t, &route, new(caddyhttp.Route))
		if len(route.HandlersRaw) != 2 {
			t.Fatalf("%d handlers", len(route.HandlersRaw))
		}
		var auth Handler
		strict(t, without(t, route.HandlersRaw[0], "handler"), &auth)
		var forward Forward
		strict(t, without(t, route.HandlersRaw[1], "handler"), &forward)
		transport := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
		strict(t, without(t, forward.TransportRaw, "protocol"), transport)
		if strings.HasPrefix(strings.ToLower(auth.Origin), "https:") && transport.TLS == nil {
			t.Errorf("%s without TLS", auth.Origin)
		}
	}
}

// survives reports what is lost when v goes through JSON into empty.
func survives(t *testing.T, v, empty any) {
	t.Helper()
	first, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	strict(t, first, empty)
	second, err := json.Marshal(empty)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Errorf("JSON of JSON (-first +second):\n%s", diff)
	}
}

func strict(t *testing.T, content []byte, v any) {
	t.Helper()
	if err := caddy.StrictUnmarshalJSON(content, v); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
}

// without removes the key that tells Caddy which module it is.
func without(t *testing.T, content []byte, key string) []byte {
	t.Helper()
	members := make(map[string]json.RawMessage)
	strict(t, content, &members)
	delete(members, key)
	rest, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}
