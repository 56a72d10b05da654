// Package e2e tests the project as its users have it: the real binary as a
// process of its own, with a Caddyfile, in front of a simulated Tableau that
// speaks TLS, and real clients in front of that. It holds tests only, imports
// nothing of Caddy, and reads the proxy's logs, files and admin API as an
// attacker or an auditor would.
package e2e
