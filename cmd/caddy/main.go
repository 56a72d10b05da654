// Command caddy is Caddy with its standard modules and the Tableau modules of
// this project. It is a plain main, so `go build ./cmd/caddy` is all it takes.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Plug in the modules.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-tableau/caddy-tableau/caddymodule"
)

func main() {
	caddycmd.Main()
}
