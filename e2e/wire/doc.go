// Package wire tests what hostile bytes become on their way through the proxy.
// It sends a corpus of requests, generated from tables, over real connections
// to the real binary: HTTP/1.1 as bytes and HTTP/2 as frames, so that what no
// HTTP library would send can be sent. Behind the proxy stands the simulated
// Tableau on a server that reads connections byte for byte and keeps what it
// read, and a judge that knows nothing of the proxy's code looks at both sides:
// one right token or nothing, no credential of the client, as many requests as
// were let through, and a record of each.
//
// go test runs a sample. The whole corpus and its report are made with
//
//	go test ./e2e/wire -run TestCorpus -wire.all -wire.report=docs/reports/wire.md
package wire
