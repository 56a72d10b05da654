// Package tableauauth turns "this verified person wants to call Tableau" into
// an HTTP request that Tableau accepts: it makes a proof for the person's
// Tableau user (a Connected App JWT, for instance), signs in with it, keeps the
// session alive and shared, and sends requests with the session's token in
// X-Tableau-Auth. It needs neither Caddy nor a metrics library, logs through
// log/slog, and reports to an [Observer].
//
// The pieces, from the ground up:
//
//   - A [Credential] is what the operator holds: it makes one [Proof] for each
//     sign-in attempt. [DirectTrust] is a Connected App with direct trust.
//   - A [Client] speaks the four calls that concern a session (sign in, probe,
//     sign out) to one Tableau origin, bounded in size and time.
//   - A [Pool] holds the live sessions of one connection, one for each [Grant]
//     (site, user and scopes), with one sign-in however many requests wait.
//   - A [Transport] is an http.RoundTripper that sends a request as the session
//     in its context, and recovers once if Tableau has ended that session.
//
// A program that calls Tableau itself needs no more than this:
//
//	app, err := tableauauth.NewDirectTrust(clientID, tableauauth.ConnectedAppSecret{ID: id, Value: value})
//	...
//	pool, err := tableauauth.NewPool(tableauauth.Connection{Origin: origin, Credential: app}, tableauauth.PoolOptions{})
//	...
//	defer pool.Close(context.Background())
//	binding := &tableauauth.Binding{Pool: pool}
//	_, err = binding.Acquire(ctx, tableauauth.Grant{Site: "finance", User: "alice@corp.example", Scopes: scopes})
//	...
//	defer binding.Release() // when the answer has been read
//	client := http.Client{Transport: &tableauauth.Transport{}}
//	req = req.WithContext(tableauauth.NewContext(ctx, binding))
//	res, err := client.Do(req)
//
// # What is never printed
//
// Secrets, JWTs and session tokens are of type [tableauapi.Secret], which
// prints as "[redacted]" everywhere. What Tableau answers to a sign-in is
// searched for them before it becomes part of an error.
package tableauauth
