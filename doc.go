// Package caddytableau makes the module buildable by its own path: importing it
// plugs every Tableau module of this project into Caddy, so that
//
//	xcaddy build --with github.com/caddy-tableau/caddy-tableau
//
// works, and so does the same line with "=." at its end in a checkout. There is
// nothing else to use here. The Caddy modules are in package caddymodule, and
// the library without Caddy is in package tableauauth.
package caddytableau

import (
	// Plug in the Caddy modules.
	_ "github.com/caddy-tableau/caddy-tableau/caddymodule"
)
