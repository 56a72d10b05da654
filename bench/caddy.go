package main

// This file holds the variants that are Caddy: plain, this project, and what
// can be done with Caddy's own directives.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// A site is what the Caddyfiles are filled in with.
type site struct {
	Dir, Port, Upstream, TokenService, StaticToken string
}

// frame is around the configuration of every Caddy.
const frame = `{
	admin unix/{{.Dir}}/admin|0600
	persist_config off
	auto_https off
	storage file_system {{.Dir}}/storage
	log default {
		level ERROR
	}
%s}
http://:{{.Port}} {
	bind 127.0.0.1
%s}
`

var (
	plainCaddyfile    = fmt.Sprintf(frame, "", "\treverse_proxy {{.Upstream}}\n")
	headerUpCaddyfile = fmt.Sprintf(frame, "", "\treverse_proxy {{.Upstream}} {\n\t\theader_up "+headerToken+" {{.StaticToken}}\n\t}\n")
	forwardCaddyfile  = fmt.Sprintf(frame, "", `	forward_auth {{.TokenService}} {
		uri /token
		copy_headers `+headerToken+`
	}
	reverse_proxy {{.Upstream}}
`)
)

// ourOptions are the modes of this project.
type ourOptions struct {
	accessLog, auditLogger, metrics bool
	audit                           string // the mode of the audit file, or ""
	classic                         bool   // by reverse_proxy
}

// secretVariable is the environment variable with the Connected App's secret.
const secretVariable = "TABLEAU_SECRET"

// ourCaddyfile is this project's. The limits on sign-ins are as good as off: all
// users sign in at once before anything is measured.
func ourCaddyfile(o ourOptions) string {
	global := `	tableau {
		sign_in_rate 1000000
		sign_in_queue 1000000
`
	if o.audit != "" {
		global += "\t\taudit {{.Dir}}/audit.file {\n\t\t\tmode " + o.audit + "\n\t\t}\n"
	}
	global += "\t}\n"
	if o.auditLogger {
		global += "\tlog audit {\n\t\tinclude tableau.audit\n\t\toutput file {{.Dir}}/audit.log\n\t\tformat json\n\t}\n"
	}
	if o.metrics {
		global += "\tmetrics\n"
	}
	directive, behind := "tableau_proxy", ""
	if o.classic {
		directive = "tableau_auth"
		behind = "\treverse_proxy {{.Upstream}} {\n\t\ttransport tableau {\n\t\t\tkeepalive_idle_conns_per_host 512\n\t\t}\n\t}\n"
	}
	site := `	` + directive + ` http://{{.Upstream}} {
		site ` + siteName + `
		user {http.request.header.` + headerUser + `}
		identity_headers any
		credentials direct_trust {
			client_id bench
			secret bench {env.` + secretVariable + `}
		}
		insecure_http
	}
` + behind
	if o.accessLog {
		site = "\tlog {\n\t\toutput file {{.Dir}}/access.log\n\t}\n" + site
	}
	return fmt.Sprintf(frame, global, site)
}

// startCaddy starts the binary with a Caddyfile.
func startCaddy(caddyfile string) func(*lab, *variant) (*server, error) {
	return func(l *lab, v *variant) (*server, error) {
		return launchCaddy(l, v, caddyfile, "")
	}
}

func startForwardAuth(l *lab, v *variant) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	tokens, err := l.helper(address, "tokens", fmt.Sprint(l.users))
	if err != nil {
		return nil, err
	}
	s, err := launchCaddy(l, v, forwardCaddyfile, address)
	if err == nil {
		s.beside = tokens
	}
	return s, err
}

// launchCaddy writes the Caddyfile and starts the binary with it. A Caddyfile
// that this version does not know is no failure: the option may come later.
func launchCaddy(l *lab, v *variant, caddyfile, tokens string) (*server, error) {
	dir, address, err := l.place(v.name)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	err = template.Must(template.New("Caddyfile").Parse(caddyfile)).Execute(&text, site{
		Dir: dir, Port: portOf(address), Upstream: l.upstream, TokenService: tokens, StaticToken: tokenOf(shared),
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	binary := l.plain
	if strings.HasPrefix(v.name, "tableau_") {
		binary = l.caddy
	}
	p, err := launch(dir, caddyEnv, binary, "run", "--config", path, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	if err := p.answers(l.ctx, address, listPath, startPolling); err != nil {
		if errors.Is(err, errEnded) && v.name != nameOurs && strings.Contains(err.Error(), "unknown option") {
			return nil, &unavailable{"this version has no such option"}
		}
		p.stop()
		return nil, err
	}
	return &server{variant: v, address: address, main: p}, nil
}

// caddyEnv has the secret of the Connected App, which nobody checks here.
var caddyEnv = []string{secretVariable + "=" + strings.Repeat("0123456789abcdef", 2)}
