package main

// This file holds the peers that are other programs: nginx and HAProxy. Where
// they are missing, they are left out.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// nginxModules is where Debian's packages put them.
const nginxModules = "/usr/lib/nginx/modules"

// nginxFrame is an nginx that keeps its connections, and all its files in one
// directory.
const nginxFrame = `{{if .Root}}user root;
{{end}}daemon off;
pid {{.Dir}}/nginx.pid;
error_log stderr;
worker_processes auto;
%s
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	upstream tableau {
		server {{.Upstream}};
		keepalive 256;
		keepalive_requests 1000000000;
	}
	%s
	server {
		listen 127.0.0.1:{{.Port}};
		location / {
			%s
			proxy_pass http://tableau;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
`

var (
	nginxStatic = fmt.Sprintf(nginxFrame, "", "", `proxy_set_header `+headerToken+` "{{.StaticToken}}";`)
	nginxLua    = fmt.Sprintf(nginxFrame,
		"load_module "+nginxModules+"/ndk_http_module.so;\nload_module "+nginxModules+"/ngx_http_lua_module.so;",
		`lua_shared_dict tokens 64m;
	init_by_lua_block {
		for n = 0, {{.Users}} - 1 do
			local user = string.format("u%06d", n)
			ngx.shared.tokens:set(user, user .. "{{.TokenTail}}")
		end
	}`,
		`access_by_lua_block {
				local token = ngx.shared.tokens:get(ngx.var.http_remote_user)
				if not token then return ngx.exit(401) end
				ngx.req.set_header("`+headerToken+`", token)
			}`)
)

func startNginx(config string) func(*lab, *variant) (*server, error) {
	return func(l *lab, v *variant) (*server, error) {
		if v.name == nameLua {
			if _, err := os.Stat(filepath.Join(nginxModules, "ngx_http_lua_module.so")); err != nil {
				return nil, &unavailable{"the Debian package libnginx-mod-http-lua is not installed"}
			}
		}
		return startPeer(l, v, "nginx", config, "-p", "{{.Dir}}", "-c")
	}
}

// haproxyConfig looks up the token in a file that is read at the start.
const haproxyConfig = `global
	maxconn 8192
defaults
	mode http
	maxconn 4096
	http-reuse always
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend clients
	bind 127.0.0.1:{{.Port}}
	http-request set-header ` + headerToken + ` %[req.hdr(` + headerUser + `),map({{.Dir}}/tokens.map)]
	default_backend tableau
backend tableau
	server tableau {{.Upstream}}
`

func startHAProxy(l *lab, v *variant) (*server, error) {
	return startPeer(l, v, "haproxy", haproxyConfig, "-db", "-f")
}

// startPeer starts a program whose last argument is its configuration file.
func startPeer(l *lab, v *variant, program, config string, args ...string) (*server, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, &unavailable{"the Debian package " + program + " is not installed"}
	}
	dir, address, err := l.place(v.name)
	if err != nil {
		return nil, err
	}
	values := map[string]any{
		"Dir": dir, "Port": portOf(address), "Upstream": l.upstream,
		"Root": os.Getuid() == 0, "Users": l.users, "StaticToken": tokenOf(shared), "TokenTail": tokenTail,
	}
	fill := func(text string) string {
		var b strings.Builder
		if err := template.Must(template.New(program).Parse(text)).Execute(&b, values); err != nil {
			panic(err) // a map has every key that is asked for
		}
		return b.String()
	}
	var tokens strings.Builder
	for user, token := range tokensByUser(l.users) {
		fmt.Fprintln(&tokens, user, token)
	}
	file := filepath.Join(dir, program+".conf")
	for name, text := range map[string]string{file: fill(config), filepath.Join(dir, "tokens.map"): tokens.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for i := range args {
		args[i] = fill(args[i])
	}
	p, err := launch(dir, nil, path, append(args, file)...)
	return &server{variant: v, address: address, main: p}, err
}
