package caddymodule

// This file runs the simulated Tableau as a server of its own.

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// runSimulate serves a simulated Tableau until ctx ends.
func runSimulate(ctx context.Context, listen, caFile string, cloud bool, out io.Writer) error {
	listener, err := listenLoopback(ctx, listen)
	if err != nil {
		return err
	}
	server := simulatorOn(listener, tableautest.Options{Cloud: cloud}, caFile != "")
	defer server.Close()
	if caFile != "" {
		if err := os.WriteFile(caFile, server.CAPEM(), 0o600); err != nil {
			return fmt.Errorf("--ca-file: %w", err)
		}
	}
	describeSimulator(out, server, caFile)
	<-ctx.Done()
	fmt.Fprintf(out, "\nStopped. Live sessions: %d.\n", len(server.Sessions()))
	return nil
}

// simulatorOn serves a simulated Tableau on listener.
func simulatorOn(listener net.Listener, opts tableautest.Options, tls bool) *tableautest.Server {
	tableau := tableautest.New(opts)
	server := httptest.NewUnstartedServer(tableau)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that end in the middle are no news
	if tls {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	return &tableautest.Server{Tableau: tableau, URL: server.URL, HTTP: server}
}

// describeSimulator prints what is needed to sign in. The secrets that it
// prints are made up and open nothing but this simulator.
func describeSimulator(out io.Writer, s *tableautest.Server, caFile string) {
	fmt.Fprintf(out, "A simulated Tableau listens at %s\n\n", s.URL)
	if caFile != "" {
		fmt.Fprintf(out, "Certificate to trust: %s\n\n", caFile)
	}
	fmt.Fprintln(out, "Connected Apps (direct trust), one for each site:")
	for _, app := range s.ConnectedApps() {
		site := app.Site
		if site == "" {
			site = "default"
		}
		fmt.Fprintf(out, "  site %s\n    client_id    %s\n    secret ID    %s\n    secret value %s\n",
			site, app.ClientID, app.Secrets[0].ID, app.Secrets[0].Value.Reveal())
	}
	var users []string
	for _, u := range s.Users() {
		users = append(users, u.Name)
	}
	fmt.Fprintf(out, "\nUsers: %s\n\nCtrl-C stops it.\n", strings.Join(users, ", "))
}
