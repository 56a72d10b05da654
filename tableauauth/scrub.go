package tableauauth

// This file keeps credentials from travelling where they should not: the
// client's to Tableau, and Tableau's to the client.

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// credentialHeaders are the request headers that could carry a session or an
// identity to Tableau, as [NormalHeaderName] spells them.
var credentialHeaders = map[string]bool{
	"x-tableau-auth":      true,
	"authorization":       true,
	"proxy-authorization": true,
	"cookie":              true,
}

// removeCredentials deletes every credential header in every spelling that a
// server could take for it: some map "_" or "." to "-".
func removeCredentials(h http.Header) {
	for name := range h {
		if credentialHeaders[NormalHeaderName(name)] {
			delete(h, name)
		}
	}
}

// NormalHeaderName spells the name of a header as a lenient server could read
// it: in lower case, with a hyphen for "_", "." and a space.
func NormalHeaderName(name string) string {
	if normal, ok := usualNames[name]; ok {
		return normal
	}
	return normalName(name)
}

func normalName(name string) string { return headerAliases.Replace(strings.ToLower(name)) }

// usualNames are the names that nearly every request has, by NormalHeaderName:
// each is asked about several times on its way.
var usualNames = func() map[string]string {
	normal := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Content-Length",
		"Content-Type", "Cookie", "Expect", "If-Modified-Since", "If-None-Match", "Origin", "Pragma", "Range", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Traceparent", "Tracestate", "User-Agent", "Via",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", headerAuth,
	} {
		normal[name] = normalName(name)
	}
	return normal
}()

// headerAliases are the characters that some servers take for a hyphen.
var headerAliases = strings.NewReplacer("_", "-", ".", "-", " ", "-")

// scrub removes from an answer what would hand Tableau's session to the
// client: its cookies, X-Tableau-Auth, and any header that repeats the token.
// Trailers come when the body has been read, announced or not. Where the answer
// points to Tableau, the client is to come back to us.
func scrub(res *http.Response, s *Session, origin *url.URL) {
	scrubHeader(res.Header, s)
	for _, name := range []string{"Location", "Content-Location"} {
		if to := res.Header.Get(name); to != "" {
			res.Header.Set(name, relocated(to, origin))
		}
	}
	scrubHeader(res.Trailer, s) // the names that were announced
	if res.StatusCode >= http.StatusBadRequest && s != nil {
		res.Body = &maskedBody{ReadCloser: res.Body, token: []byte(s.token.Reveal())}
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = &scrubbedBody{res.Body, res, s}
	}
}

func scrubHeader(h http.Header, s *Session) {
	delete(h, "Set-Cookie")
	delete(h, headerAuth)
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name) // which pages may read what comes from here is not Tableau's to say
		}
	}
	if s == nil {
		return
	}
	token := s.token.Reveal()
	for name, values := range h {
		for _, v := range values {
			if strings.Contains(v, token) {
				delete(h, name)
			}
		}
	}
}

// A maskedBody is a body in which stars stand in the place of a token, as long
// as it is not coded: an error may repeat the token to explain what is wrong with
// it. It holds back no more than what could be the beginning of the token.
type maskedBody struct {
	io.ReadCloser
	token []byte
	held  []byte
	err   error
}

// Read implements io.Reader.
func (m *maskedBody) Read(p []byte) (int, error) {
	for len(p) > 0 {
		ready := len(m.held) - m.beginning()
		if m.err != nil {
			ready = len(m.held)
		}
		if ready > 0 {
			n := copy(p, m.held[:ready])
			m.held = m.held[n:]
			return n, nil
		}
		if m.err != nil {
			return 0, m.err
		}
		chunk := make([]byte, 4<<10)
		var n int
		n, m.err = m.ReadCloser.Read(chunk)
		m.held = bytes.ReplaceAll(append(m.held, chunk[:n]...), m.token, bytes.Repeat([]byte("*"), len(m.token)))
	}
	return 0, nil
}

// beginning returns how many bytes at the end of what is held could be the
// beginning of the token.
func (m *maskedBody) beginning() int {
	for n := min(len(m.held), len(m.token)-1); n > 0; n-- {
		if bytes.HasPrefix(m.token, m.held[len(m.held)-n:]) {
			return n
		}
	}
	return 0
}

// listenInterim returns a context in which interim answers (1xx), which go to the
// client beside the transport, are scrubbed too: whoever listens to them in ctx
// gets the same map, after us.
func listenInterim(ctx context.Context, b *Binding) context.Context {
	s := b.Session
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			scrubHeader(http.Header(h), s)
			if b.Interim == nil {
				return nil
			}
			return b.Interim(code, h)
		},
	})
}

// relocated returns an address at origin without scheme and authority, by which
// it is one here, and any other as it is: no session goes there.
func relocated(to string, origin *url.URL) string {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "" && !strings.EqualFold(u.Scheme, origin.Scheme) {
		return to
	}
	if !sameHost(u, origin) {
		return to
	}
	path := "/" + strings.TrimLeft(u.EscapedPath(), "/") // two slashes would be another host's address
	here := url.URL{RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	return path + here.String()
}

// sameHost reports whether both name the same host and port.
func sameHost(a, origin *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"https": "443", "http": "80"}[origin.Scheme]
	}
	return strings.EqualFold(a.Hostname(), origin.Hostname()) && port(a) == port(origin)
}

// A scrubbedBody clears the trailers of its answer as soon as they are there.
type scrubbedBody struct {
	io.ReadCloser
	res *http.Response
	s   *Session
}

// Read implements io.Reader.
func (b *scrubbedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		scrubHeader(b.res.Trailer, b.s)
	}
	return n, err
}

// A verdict is what an answer says about the session that was sent.
type verdict int

const (
	silent   verdict = iota // nothing
	accepted                // Tableau knows it
	rejected                // Tableau may have ended it
)

// judge returns what an answer says about the session: that it was rejected, if
// it is a 401 with code 401000 or 401002 (said), or one whose body is in a
// coding that we cannot read. The body stays readable.
func judge(res *http.Response) (said *tableauapi.Error, v verdict) {
	if res.StatusCode != http.StatusUnauthorized {
		return nil, accepted
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), res.Body), res.Body}
	if err != nil {
		return nil, silent //nolint:nilerr // the client gets as far as we did
	}
	plain, ok := decoded(head, res.Header.Get("Content-Encoding"))
	if !ok {
		return nil, rejected
	}
	said, ok = tableauapi.DecodeError(plain)
	switch {
	case !ok:
		return nil, silent // not Tableau's
	case !endedCode(said.Code):
		return nil, accepted
	default:
		return said, rejected
	}
}

// decoded undoes a content coding, at most maxAnswer bytes of it.
func decoded(body []byte, coding string) ([]byte, bool) {
	switch strings.ToLower(coding) {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxAnswer))
		return plain, err == nil
	default:
		return nil, false
	}
}
