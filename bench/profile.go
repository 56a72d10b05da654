package main

// This file takes profiles of plain Caddy and of this project under the same
// load, from Caddy's admin endpoint: what differs is this project's doing.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// profileTime is how long a profile is taken, and the server loaded.
const profileTime = 10 * time.Second

// profile writes profiles into the directory of the options.
func profile(ctx context.Context, l *lab, o options, progress func(string, ...any)) error {
	if err := os.MkdirAll(o.profile, 0o750); err != nil {
		return err
	}
	w := workload{kind: o.profileOf, connections: o.connections, users: o.users, duration: profileTime}
	if o.profileOf != loadReads {
		w.connections, w.users = bodyConnections, bodyUsers
	}
	for _, name := range []string{namePlain, nameOurs} {
		i := slices.IndexFunc(l.servers, func(s *server) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("-profile: %s is not among the variants that run", name)
		}
		path := filepath.Join(o.profile, name+"-"+o.profileOf)
		said, err := l.servers[i].profile(ctx, w, path)
		if err != nil {
			return err
		}
		progress("%s: %s", path, said)
	}
	return nil
}

// profile takes profiles of a server under load, of its processor time and of
// its allocations, and says what a request has cost.
func (s *server) profile(ctx context.Context, w workload, path string) (string, error) {
	fetched := make(chan error, 1)
	before, err := s.memory(ctx)
	if err != nil {
		return "", err
	}
	go func() {
		query := fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", profileTime.Seconds())
		fetched <- s.fetchFile(ctx, query, path+".pprof")
	}()
	measured, err := w.measure(ctx, s)
	if err := errors.Join(err, <-fetched); err != nil {
		return "", err
	}
	after, err := s.memory(ctx)
	if err != nil {
		return "", err
	}
	requests := measured.Rate * w.duration.Seconds()
	said := fmt.Sprintf("%.0f requests per second; each takes %.0f us of processor time, %.1f allocations and %.1f KiB",
		measured.Rate, measured.CPU*10, float64(after.Mallocs-before.Mallocs)/requests, float64(after.TotalAlloc-before.TotalAlloc)/requests/1024)
	return said, s.fetchFile(ctx, "/debug/pprof/allocs", path+"-allocs.pprof")
}

// memory asks a server what it has allocated so far.
func (s *server) memory(ctx context.Context) (stats runtime.MemStats, err error) {
	data, err := s.fetch(ctx, "/debug/vars")
	if err != nil {
		return stats, err
	}
	variables := struct{ MemStats *runtime.MemStats }{&stats}
	return stats, json.Unmarshal(data, &variables)
}

func (s *server) fetchFile(ctx context.Context, query, path string) error {
	data, err := s.fetch(ctx, query)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// fetch asks the admin endpoint of a server.
func (s *server) fetch(ctx context.Context, query string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.main.cmd.Dir, "admin"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin"+query, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", query, res.Status, data)
	}
	return data, err
}
