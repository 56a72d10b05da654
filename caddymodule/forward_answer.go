package caddymodule

// This file hands Tableau's answer to the client as it comes.

import (
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answer passes the answer on. It panics with http.ErrAbortHandler if it breaks
// off, so that the client's breaks off too, and does not seem to be whole.
func (f *Forward) answer(w http.ResponseWriter, p *forwarding) {
	res := p.res
	prompt := flushesAtOnce(res)
	removeHopByHop(res.Header)
	announced := announceAnswer(w.Header(), res)
	w.WriteHeader(res.StatusCode)

	err := copyBody(w, res, prompt)
	_ = res.Body.Close() // now, and not deferred: the trailers are there then
	if err != nil {
		f.logger.Warn("aborting with incomplete response", append(p.fields(), zap.Error(err))...)
		_ = http.NewResponseController(w).Flush() // the client gets what there was
		panic(http.ErrAbortHandler)
	}
	passTrailers(w, res, announced)
}

// flushesAtOnce reports whether the client is to have each part of the answer as
// it comes: events, what is marked as incremental (RFC 10036), and what says
// nothing of its length.
func flushesAtOnce(res *http.Response) bool {
	if res.ContentLength == -1 || caddyhttp.IsIncremental(res.Header) {
		return true
	}
	kind := res.Header.Get("Content-Type")
	if !strings.Contains(strings.ToLower(kind), "event-stream") {
		return false
	}
	kind, _, err := mime.ParseMediaType(kind)
	return err == nil && kind == "text/event-stream"
}

// announceAnswer puts the headers of res beside those that the handlers before us
// have set, and the names of its trailers. It returns how many it has announced.
func announceAnswer(h http.Header, res *http.Response) int {
	delete(h, "Server") // Caddy's: Via tells of it, and Tableau has its own
	h["Via"] = append(h["Via"], via(res.ProtoMajor, res.ProtoMinor))
	addValues(h, res.Header)
	if len(res.Trailer) > 0 {
		h.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
	}
	return len(res.Trailer)
}

// addValues adds the headers from to those in to.
func addValues(to, from http.Header) {
	for name, values := range from {
		if _, ok := to[name]; ok {
			to[name] = append(slices.Clip(to[name]), values...)
		} else {
			to[name] = slices.Clip(values)
		}
	}
}

// passTrailers passes the trailers on: by their names if all were announced, and
// as net/http wants those that were not.
func passTrailers(w http.ResponseWriter, res *http.Response, announced int) {
	if len(res.Trailer) == 0 {
		return
	}
	_ = http.NewResponseController(w).Flush() // or a short body would get a length, and no trailers
	prefix := ""
	if len(res.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range res.Trailer {
		for _, v := range values {
			w.Header().Add(prefix+name, v)
		}
	}
}
