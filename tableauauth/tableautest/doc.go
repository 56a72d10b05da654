// Package tableautest is a Tableau that runs in a test: an http.Handler that
// signs people in, keeps sessions, serves a small content set and remembers
// what was asked of it. It is to Tableau's REST API what net/http/httptest is
// to HTTP.
//
// # Strict on purpose
//
// A simulator that accepts what a real server refuses only proves that two
// programs share a mistake. Therefore this package imports nothing of the
// product that it tests: neither its wire types, nor its scope catalogue, nor
// its JWT code. It has its own, written from Tableau's documentation, and it
// refuses everything that the documentation refuses: a JWT whose audience is a
// list, whose lifetime is eleven minutes, whose jti was seen before; a method
// that the session's scopes do not cover; a session that was signed out.
//
// Where Tableau's behaviour is not documented, both behaviours can be chosen
// in [Undocumented], so that a client can be tested against each.
//
// # Use
//
//	srv := tableautest.NewTLSServer(tableautest.Options{})
//	defer srv.Close()
//	app := srv.ConnectedApp("finance") // client ID and secret for a JWT
//	... point the client at srv.URL, trusting srv.CAPEM() ...
//	for _, e := range srv.Journal() { ... }
//
// Without sockets, for example inside a testing/synctest bubble, use
// [New] and [Tableau.RoundTripper].
//
// Everything that changes the server's mind is a Go method and never an HTTP
// call: [Tableau.AddFault], [Tableau.KillSessions], [Tableau.DeleteSecret],
// [Tableau.SetClockOffset]. The package does not import testing, so that a
// program can link it.
//
// # What it is not
//
// It was written from public documentation and published client code, and was
// not compared with a running Tableau. Content is a handful of workbooks, not
// a model of Tableau's permissions.
package tableautest
