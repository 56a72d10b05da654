package main

// This file lists what is measured: plain Caddy, this project in its modes, and
// its peers.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A variant is one way to get a request to Tableau.
type variant struct {
	name string
	what string // one line for readers
	// owner of its answers, if it gives all users the same token.
	owner string
	// bodies says that it is measured with large bodies too.
	bodies bool
	start  func(*lab, *variant) (*server, error)
}

// An unavailable variant cannot be had on this machine, or in this version.
type unavailable struct{ reason string }

func (u *unavailable) Error() string { return u.reason }

// A server is a variant that runs.
type server struct {
	*variant
	address string
	main    *process
	beside  *process // a service that it needs, or nil
	idlePSS float64  // MiB
}

// Names that the goals and the report speak of.
const (
	namePlain       = "caddy"
	nameOurs        = "tableau_proxy"
	nameObserved    = "tableau_proxy, audit bounded, metrics"
	nameForwardAuth = "caddy forward_auth"
	nameLua         = "nginx + lua"
	nameDirect      = "direct"
)

// plain is what all others are compared with.
var plain = &variant{
	name: namePlain, what: "Caddy's reverse_proxy at its defaults, without tokens", bodies: true, start: startCaddy(plainCaddyfile),
}

// variants is all others, in the order of the report.
var variants = []*variant{
	{name: nameOurs, what: "this project: a session for each user; access log and audit off", bodies: true, start: startCaddy(ourCaddyfile(ourOptions{}))},
	{name: "tableau_auth, reverse_proxy", what: "this project in its two halves, with Caddy's reverse_proxy and the transport tableau", bodies: true, start: startCaddy(ourCaddyfile(ourOptions{classic: true}))},
	{name: "tableau_proxy, access log", what: "the same with Caddy's access log in a file", start: startCaddy(ourCaddyfile(ourOptions{accessLog: true}))},
	{name: "tableau_proxy, audit logger", what: "the same with the logger tableau.audit in a file", start: startCaddy(ourCaddyfile(ourOptions{auditLogger: true}))},
	{name: "tableau_proxy, audit best_effort", what: "the same with an audit file, mode best_effort", start: startCaddy(ourCaddyfile(ourOptions{audit: "best_effort"}))},
	{name: "tableau_proxy, audit bounded", what: "the same with an audit file, mode bounded", start: startCaddy(ourCaddyfile(ourOptions{audit: "bounded"}))},
	{name: "tableau_proxy, audit strict", what: "the same with an audit file, mode strict: each request waits for the disk", start: startCaddy(ourCaddyfile(ourOptions{audit: "strict"}))},
	{name: nameObserved, what: "the same with an audit file, mode bounded, and Caddy's metrics", bodies: true, start: startCaddy(ourCaddyfile(ourOptions{audit: "bounded", metrics: true}))},
	{name: "caddy header_up", what: "Caddy's reverse_proxy with one fixed token for everybody", owner: shared, start: startCaddy(headerUpCaddyfile)},
	{name: nameForwardAuth, what: "Caddy, asking a token service, in Go, for each request; the service's processor time is beside that", start: startForwardAuth},
	{name: "nginx", what: "nginx with one fixed token for everybody", owner: shared, bodies: true, start: startNginx(nginxStatic)},
	{name: nameLua, what: "nginx with a token for each user from a shared dictionary", start: startNginx(nginxLua)},
	{name: "haproxy map", what: "HAProxy with a token for each user from a map file", bodies: true, start: startHAProxy},
	{name: "ReverseProxy", what: "the standard library's httputil.ReverseProxy with a token for each user from a map", bodies: true, start: startReverseProxy},
}

// A lab is everything that the servers of one run share.
type lab struct {
	ctx      context.Context
	dir      string
	caddy    string // the binary
	plain    string // that of Caddy alone
	users    int
	upstream string // address
	servers  []*server
	helpers  []*process
}

// newLab starts the upstream.
func newLab(ctx context.Context, caddy, plain string, users int) (*lab, error) {
	dir, err := os.MkdirTemp("", "tableau-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{ctx: ctx, dir: dir, caddy: caddy, plain: plain, users: users}
	if l.upstream, err = freeAddress(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if _, err = l.helper(l.upstream, "upstream"); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// helper starts another part of this program as a server.
func (l *lab) helper(address string, args ...string) (*process, error) {
	p, err := launchSelf(l.dir, append(args, address)...)
	if err != nil {
		return nil, err
	}
	l.helpers = append(l.helpers, p)
	return p, p.answers(l.ctx, address, listPath, 10*time.Millisecond)
}

// start starts a variant, waits until it answers, and signs all users in.
func (l *lab) start(v *variant) (*server, error) {
	s, err := v.start(l, v)
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, s)
	if err := s.main.answers(l.ctx, s.address, listPath, 10*time.Millisecond); err != nil {
		return nil, err
	}
	if s.idlePSS, err = treePSS(s.main.pid()); err != nil {
		return nil, err
	}
	return s, l.warm(s)
}

// warm has every user ask once, so that all have sessions. A proxy that cannot
// keep up with so many sign-ins is asked again.
func (l *lab) warm(s *server) error {
	plan := loadPlan{Address: s.address, Kind: loadEachUser, Connections: 64, Users: l.users, Owner: s.owner}
	for attempt := 1; ; attempt++ {
		result, err := load(l.ctx, plan)
		switch {
		case err != nil:
			return err
		case result.Wrong == 0:
			return nil
		case attempt == 5:
			return fmt.Errorf("%d of %d first answers were wrong: %s\n%s", result.Wrong, l.users, result.Example, s.main.out)
		}
		select {
		case <-time.After(4 * time.Second):
		case <-l.ctx.Done():
			return l.ctx.Err()
		}
	}
}

// close ends everything.
func (l *lab) close() error {
	for _, s := range l.servers {
		s.main.stop()
	}
	for _, p := range l.helpers {
		p.stop()
	}
	return os.RemoveAll(l.dir)
}

// place makes a directory for a server, and an address for it.
func (l *lab) place(name string) (dir, address string, err error) {
	name = strings.Map(func(r rune) rune {
		if r == ' ' || r == ',' {
			return '-'
		}
		return r
	}, name)
	dir = filepath.Join(l.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", err
	}
	address, err = freeAddress()
	return dir, address, err
}

func startReverseProxy(l *lab, v *variant) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launchSelf(l.dir, "reverseproxy", l.upstream, fmt.Sprint(l.users), address)
	return &server{variant: v, address: address, main: p}, err
}
