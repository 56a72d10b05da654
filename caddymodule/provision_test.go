package caddymodule

// This file checks that a configuration that is not right does not load, with
// an error that names the option and says what to change.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const (
	goodOrigin      = "https://tableau.corp.example"
	goodCredentials = "credentials direct_trust {\n\tclient_id id\n\tsecret one {env.GOOD_SECRET}\n}\n"
	goodSite        = "site finance\n"
	goodUser        = "user {http.auth.user.id}\n"
	goodScopes      = "scopes tableau:content:read\n"
	good            = goodSite + goodUser + goodScopes + goodCredentials
	// A secret in a place where it must not be.
	literal = "s3cretValueThatMustNotShow"
)

// provision adapts and provisions a tableau_proxy, without starting it.
func provision(t *testing.T, origin, options string) error {
	t.Helper()
	return validate(t, ":0 {\n\ttableau_proxy "+origin+" {\n"+options+"\n\t}\n}\n")
}

func validate(t *testing.T, config string) error {
	t.Helper()
	adapted, err := adapt("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\toutput discard\n\t}\n\tstorage file_system {\n\t\troot " + t.TempDir() + "\n\t}\n}\n" + config)
	if err != nil {
		return err
	}
	var c caddy.Config
	if err := json.Unmarshal(adapted, &c); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&c)
}

func TestProvisionRefuses(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	t.Setenv("EMPTY_SECRET", "")
	t.Setenv("BLANK_SECRET", " \t ")
	t.Setenv("LITERAL_SECRET", literal)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	oversize := file("oversize", "alice alice\n")
	if err := os.Truncate(oversize, maxUserFile+1); err != nil {
		t.Fatal(err)
	}
	withSecret := func(value string) string {
		return goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id id\n\tsecret one " + value + "\n}\n"
	}
	withUser := func(options string) string { return goodSite + goodScopes + goodCredentials + options }

	tests := []struct {
		name, origin, options string
		want                  []string // what has to be in the message: the option, and the fix
	}{
		{"secret: variable missing", "", withSecret("{env.NO_SUCH_SECRET}"), []string{"secret", "{env.NO_SUCH_SECRET}", "set the environment variable or file that it names"}},
		{"secret: variable empty", "", withSecret("{env.EMPTY_SECRET}"), []string{"secret", "{env.EMPTY_SECRET}", "set the environment variable"}},
		{"secret: variable blank", "", withSecret("{env.BLANK_SECRET}"), []string{"secret", "{env.BLANK_SECRET} is empty"}},
		{"secret: file missing", "", withSecret("{file." + dir + "/none}"), []string{"secret", dir + "/none", "set the environment variable or file"}},
		{"secret: file empty", "", withSecret("{file." + file("empty", "") + "}"), []string{"secret", "set the environment variable or file"}},
		{"secret: file blank", "", withSecret("{file." + file("blank", " \n") + "}"), []string{"secret", "blank} is empty"}},
		{"secret: literal", "", withSecret(literal), []string{"secret: a secret in the configuration itself would show in the admin API", "write {env.NAME} or {file./path} here"}},
		{"secret: expanded too early", "", withSecret("{$LITERAL_SECRET}"), []string{"secret: a secret in the configuration itself", "{$NAME} is replaced too early"}},
		{"secret: literal in braces", "", withSecret("{" + literal + "}"), []string{"secret: a secret in the configuration itself", "write {env.NAME}"}},
		{"secret: literal around a placeholder", "", withSecret(`"` + literal + `{env.GOOD_SECRET}"`), []string{"secret: a secret in the configuration itself"}},
		{"secret: value empty", "", withSecret(`""`), []string{"secret:", "{env.NAME} or {file./path}"}},
		{"secret: ID empty", "", goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id id\n\tsecret \"\" {env.GOOD_SECRET}\n}\n", []string{"secret 1: its ID or its value is empty"}},
		{"secret: none", "", goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id id\n}\n", []string{"no secret", "made on its page at Tableau"}},
		{"secret: one ID twice", "", goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id id\n\tsecret one {env.GOOD_SECRET}\n\tsecret one {env.LITERAL_SECRET}\n}\n", []string{`both secrets have the ID "one"`, "remove one"}},
		{"client_id: missing", "", goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tsecret one {env.GOOD_SECRET}\n}\n", []string{"client_id is empty", "on the Connected App's page at Tableau"}},
		{"client_id: variable missing", "", goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id {env.NO_SUCH_ID}\n\tsecret one {env.GOOD_SECRET}\n}\n", []string{"client_id", "{env.NO_SUCH_ID}", "set the environment variable"}},
		{"credentials: missing", "", goodSite + goodUser + goodScopes, []string{"credentials: missing", "credentials direct_trust"}},

		{"origin: http", "http://tableau.corp.example", good, []string{"is not https", "use https, or, in a lab, the option insecure_http"}},
		{"origin: path", goodOrigin + "/t/finance", good, []string{"the origin", "has more than scheme, host and port: leave out what follows"}},
		{"origin: fragment", goodOrigin + "#/site/finance", good, []string{"the origin", "leave out what follows"}},
		{"origin: user info", "https://alice:" + literal + "@tableau.corp.example", good, []string{"the origin holds a user name or password: leave it out"}},
		{"origin: user info and a path", "https://alice:" + literal + "@tableau.corp.example/x", good, []string{"the origin holds a user name or password: leave it out"}},
		{"origin: user info that is no URL", "https://alice:" + literal + "%@tableau.corp.example", good, []string{"the origin is not a URL"}},
		{"origin: no scheme", "tableau.corp.example", good, []string{"the origin", "is not a URL such as https://"}},

		{"site: missing", "", goodUser + goodScopes + goodCredentials, []string{"site: missing", "name the content URL"}},
		{"site: twice", "", goodUser + goodScopes + goodCredentials + "site finance Finance\n", []string{`site: "Finance" is given twice`}},
		{"site: Default twice", "", goodUser + goodScopes + goodCredentials + "site default Default\n", []string{"site:", "is given twice"}},
		{"site: a hyphen", "", goodUser + goodScopes + goodCredentials + "site -\n", []string{`site: "-" is not a content URL`, "what follows /site/"}},
		{"site: an address", "", goodUser + goodScopes + goodCredentials + "site /site/finance\n", []string{`site: "/site/finance" is not a content URL`}},
		{"site: a placeholder", "", goodUser + goodScopes + goodCredentials + "site {http.request.host}\n", []string{"site:", "is not a content URL"}},

		{"scopes: not Tableau's", "", goodSite + goodUser + goodCredentials + "scopes content:read\n", []string{`scopes: "content:read" is not of the form tableau:<resource>:<action>`}},
		{"scopes: no action", "", goodSite + goodUser + goodCredentials + "scopes tableau:content\n", []string{`scopes: "tableau:content" is not of the form`}},
		{"scopes: two in one", "", goodSite + goodUser + goodCredentials + `scopes "tableau:content:read tableau"` + "\n", []string{"scopes:", "is not of the form"}},
		{"scopes: a placeholder", "", goodSite + goodUser + goodCredentials + "scopes tableau:{env.X}:read\n", []string{"scopes:", "is not of the form"}},

		{"user: missing", "", withUser(""), []string{"user: missing", "such as user {http.auth.user.id}, or list users with user_map"}},
		{"user: query", "", withUser("user {query.user}\n"), chosen("http.request.uri.query.user")},
		{"user: whole URI", "", withUser("user {uri}\n"), chosen("http.request.uri")},
		{"user: path", "", withUser("user {path}\n"), chosen("http.request.uri.path")},
		{"user: path segment", "", withUser("user {path.0}\n"), chosen("http.request.uri.path.0")},
		{"user: original URI", "", withUser("user {http.request.orig_uri.query.user}\n"), chosen("http.request.orig_uri.query.user")},
		{"user: cookie", "", withUser("user {cookie.user}\n"), chosen("http.request.cookie.user")},
		{"user: Authorization", "", withUser("user {header.Authorization}\n"), chosen("http.request.header.Authorization")},
		{"user: Authorization in other case", "", withUser("user {http.request.header.authorization}\n"), chosen("http.request.header.authorization")},
		{"user: Cookie header", "", withUser("user {header.Cookie}\n"), chosen("http.request.header.Cookie")},
		{"user: host", "", withUser("user {host}\n"), chosen("http.request.host")},
		{"user: host label", "", withUser("user {labels.1}\n"), chosen("http.request.host.labels.1")},
		{"user: host and port", "", withUser("user {hostport}\n"), chosen("http.request.hostport")},
		{"user: SNI", "", withUser("user {http.request.tls.server_name}\n"), chosen("http.request.tls.server_name")},
		{"user: body", "", withUser("user {http.request.body}\n"), chosen("http.request.body")},
		{"user: method", "", withUser("user {method}\n"), chosen("http.request.method")},
		{"user: address", "", withUser("user {remote_host}\n"), chosen("http.request.remote.host")},
		{"user: failed login", "", withUser("user {http.auth.candidate.id}\n"), chosen("http.auth.candidate.id")},
		{"user: part of it", "", withUser("user {http.auth.user.id}@{query.domain}\n"), chosen("http.request.uri.query.domain")},
		{"user: constant with a space", "", withUser("user \"alice \"\n"), []string{"user:", "begins or ends with a space"}},

		{"unmapped: without a map", "", good + "unmapped deny\n", []string{"unmapped: there is no user_map or user_map_file"}},
		{"unmapped: wrong value", "", good + "user_map alice al\nunmapped allow\n", []string{`unmapped: "allow" is neither deny nor template`}},
		{"unmapped: template without one", "", withUser("user_map alice al\nunmapped template\n"), []string{"unmapped template: there is no user template"}},

		{"user_map: to a forbidden user", "", good + "user_map alice Admin\nforbid_users admin\n", []string{`user_map: "alice" is to become "Admin", which forbid_users rules out`}},
		{"user_map: user not printable", "", good + "user_map alice \"al\u200bice\"\n", []string{`user_map: Tableau user of "alice"`, "invisible"}},
		{"user_map: identity empty", "", good + "user_map \"\" alice\n", []string{`user_map: identity ""`, "empty"}},

		{"user_map_file: missing", "", good + "user_map_file " + dir + "/none\n", []string{"user_map_file", dir + "/none"}},
		{"user_map_file: a directory", "", good + "user_map_file " + dir + "\n", []string{"user_map_file", dir}},
		{"user_map_file: one word", "", good + "user_map_file " + file("one", "# comment\nalice\n") + "\n", []string{"user_map_file", "line 2 has 1 words: it takes an identity and a Tableau user"}},
		{"user_map_file: three words", "", good + "user_map_file " + file("three", "alice al b\n") + "\n", []string{"user_map_file", "line 1 has 3 words"}},
		{"user_map_file: twice", "", good + "user_map_file " + file("twice", "alice al\n\nalice bob\n") + "\n", []string{"user_map_file", `line 3: "alice" is there twice`}},
		{"user_map_file: too large", "", good + "user_map_file " + oversize + "\n", []string{"user_map_file", "has more than 64 MiB"}},
		{"user_map_file: line too long", "", good + "user_map_file " + file("long", "alice "+strings.Repeat("a", 1<<17)+"\n") + "\n", []string{"user_map_file", "too long"}},
		{"user_map_file: forbidden user", "", good + "forbid_users ADMIN\nuser_map_file " + file("forbidden", "alice admin\n") + "\n", []string{"user_map_file", `"alice" is to become "admin", which forbid_users rules out`}},
		{"user_map_file: not UTF-8", "", good + "user_map_file " + file("latin1", "andr\xe9 andre\n") + "\n", []string{"user_map_file", "not valid UTF-8"}},

		{"transport: no verification", "", good + "transport {\n\ttls_insecure_skip_verify\n}\n", []string{"tls_insecure_skip_verify would let anybody pose as Tableau", "trust the server's CA with tls_trust_pool instead"}},
		{"transport: TLS for http", "http://tableau.corp.example", good + "insecure_http\ntransport {\n\ttls_server_name x\n}\n", []string{"transport: TLS options for an http:// origin", "make the origin https://"}},
		{"transport: CA file missing", "", good + "transport {\n\ttls_trust_pool file " + dir + "/none.pem\n}\n", []string{"transport:", "none.pem"}},
		{"transport: CA file broken", "", good + "transport {\n\ttls_trust_pool file " + file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n") + "\n}\n", []string{"transport: there is no certificate in what is to be trusted: check the file of tls_trust_pool"}},
		{"transport: CA broken", "", good + "transport {\n\ttls_trust_pool inline {\n\t\ttrust_der AAAA\n\t}\n}\n", []string{"transport:", "parsing certificate"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.origin == "" {
				test.origin = goodOrigin
			}
			err := provision(t, test.origin, test.options)
			if err == nil {
				t.Fatal("it loads")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), literal) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// chosen is what is said about a placeholder that clients choose.
func chosen(placeholder string) []string {
	return []string{"user: {" + placeholder + "} is chosen by the client", "use what an authentication handler has verified, such as {http.auth.user.id}"}
}

func TestProvisionAccepts(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	dir := t.TempDir()
	secret, users := filepath.Join(dir, "secret"), filepath.Join(dir, "users")
	for file, content := range map[string]string{secret: "0123456789abcdef\n", users: "# people\n\nalice  al\nbob\tbobby\r\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := goodSite + goodScopes + goodCredentials
	tests := map[string]struct{ origin, options string }{
		"all that is needed":                      {goodOrigin, good},
		"slash behind the host":                   {goodOrigin + "/", good},
		"http where it is meant":                  {"http://localhost:8000", good + "insecure_http\n"},
		"Default site":                            {goodOrigin, goodUser + goodScopes + goodCredentials + "site default finance\n"},
		"secret in a file":                        {goodOrigin, goodSite + goodUser + goodScopes + "credentials direct_trust {\n\tclient_id id\n\tsecret one {file." + secret + "}\n}\n"},
		"map without a template":                  {goodOrigin, base + "user_map alice al\n"},
		"file without a template":                 {goodOrigin, base + "user_map_file " + users + "\n"},
		"map and template":                        {goodOrigin, good + "user_map alice al\nunmapped template\n"},
		"constant user":                           {goodOrigin, base + "user svc-reports\n"},
		"user from a header":                      {goodOrigin, base + "user {header.Remote-User}\n"},
		"user from a certificate":                 {goodOrigin, base + "user {tls_client_subject}\n"},
		"header that only begins like a cookie's": {goodOrigin, base + "user {header.X-Cookie-User}\n"},
		"forbidden users":                         {goodOrigin, good + "forbid_users admin\nuser_map alice al\n"},
		"transport options":                       {goodOrigin, good + "transport {\n\tdial_timeout 3s\n\ttls_server_name tableau\n}\n"},
		"replay buffer":                           {goodOrigin, good + "replay_buffer 2MiB\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := provision(t, test.origin, test.options); err != nil {
				t.Error(err)
			}
		})
	}
}

// The two halves on their own hold to the same rules.
func TestProvisionOfTheHalves(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	tests := []struct{ name, config, want string }{
		{"tableau_auth without origin in JSON", "", "the Tableau origin is missing"},
		{"tableau_auth", ":0 {\n\ttableau_auth http://tableau.corp.example {\n" + good + "}\n}\n", "insecure_http"},
		{"transport", ":0 {\n\treverse_proxy " + goodOrigin + " {\n\ttransport tableau {\n\ttls_insecure_skip_verify\n}\n}\n}\n", "trust the server's CA with tls_trust_pool instead"},
		{"tableau_auth and another transport", ":0 {\n\ttableau_auth " + goodOrigin + " {\n" + good + "\ttransport {\n\ttls_insecure_skip_verify\n}\n}\n}\n", "trust the server's CA with tls_trust_pool instead"},
		{"both", ":0 {\n\ttableau_auth " + goodOrigin + " {\n" + good + "}\n\treverse_proxy " + goodOrigin + " {\n\ttransport tableau\n}\n}\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.config == "" {
				err = caddy.Validate(&caddy.Config{
					Admin:   &caddy.AdminConfig{Disabled: true},
					AppsRaw: caddy.ModuleMap{"http": json.RawMessage(`{"servers":{"s":{"listen":[":0"],"routes":[{"handle":[{"handler":"tableau_auth"}]}]}}}`)},
				})
			} else {
				err = validate(t, test.config)
			}
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

// JSON does not come by the Caddyfile's checks.
func TestProvisionOfSecretsInJSON(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	for value, want := range map[string]string{
		"{env.GOOD_SECRET}":   "",
		literal:               "write {env.NAME} or {file./path} here",
		"{" + literal + "}":   "write {env.NAME} or {file./path} here",
		"x{env.GOOD_SECRET}":  "write {env.NAME} or {file./path} here",
		"{env.A}{env.B}":      "write {env.NAME} or {file./path} here",
		"":                    "secret: its value is missing",
		"{env.NO_SUCH_VALUE}": "set the environment variable or file that it names",
	} {
		d := &DirectTrust{ClientID: "id", Secrets: []AppSecret{{ID: "one", Value: value}}}
		err := d.Provision(caddy.Context{Context: t.Context()})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", value, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), literal)):
			t.Errorf("%q: error %v, want %q in it, and no secret", value, err, want)
		}
	}
}
