package tableauauth

// This file holds the Tableau of the cross-user oracle: it knows little, but is
// strict, and fast enough for millions of requests.

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	oracleClientID = "oracle-client"
	oracleSecret   = "oracle-secret-value"
	oracleSiteID   = "11111111-2222-4333-8444-555555555555"

	headerOracleUser = "X-Oracle-User"
	headerOnce       = "X-Oracle-Once"
	headerOracle     = "X-Oracle"
)

// An oracleTableau issues sessions to whom a JWT names, and answers each request
// with what its token says about the owner. Whatever does not belong together in
// one request is counted, and answered all the same: the client is to see it too.
type oracleTableau struct {
	sessions sync.Map // token -> *oracleSession
	live     atomic.Int64

	signIns, probes, signOuts, killed, renewed, stuck atomic.Int64
	rejected                                          atomic.Int64 // requests with a dead session
	perUser                                           []atomic.Int32
	faults                                            faultLog

	jtis struct {
		sync.Mutex
		now, before map[uuid.UUID]struct{}
		turned      time.Time
	}
	buffers sync.Pool
}

type oracleSession struct {
	user   uint32
	number int64 // of the sign-in
}

func newOracleTableau(users int) *oracleTableau {
	o := &oracleTableau{perUser: make([]atomic.Int32, users)}
	o.jtis.now, o.jtis.turned = make(map[uuid.UUID]struct{}), time.Now()
	o.buffers.New = func() any { return new([4096]byte) }
	return o
}

// ServeHTTP implements http.Handler.
func (o *oracleTableau) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, call, _ := strings.Cut(r.URL.Path[min(5, len(r.URL.Path)):], "/") // /api/<version>/
	if call == "auth/signin" {
		o.signIn(w, r)
		return
	}
	token := r.Header[headerAuth]
	if len(token) != 1 {
		o.refuse(w, "401000")
		return
	}
	s, ok := o.sessions.Load(token[0])
	switch {
	case !ok:
		if call != "auth/signout" && call != "sessions/current" {
			o.rejected.Add(1)
		}
		o.refuse(w, "401002")
	case call == "auth/signout":
		o.signOuts.Add(1)
		o.end(token[0])
		w.WriteHeader(http.StatusNoContent)
	case call == "sessions/current":
		o.probes.Add(1)
		_, _ = io.WriteString(w, `<tsResponse xmlns="http://tableau.com/api"/>`)
	default:
		o.answer(w, r, s.(*oracleSession))
	}
}

func (o *oracleTableau) refuse(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintf(w, `<tsResponse xmlns="http://tableau.com/api"><error code="%s"><summary>Unauthorized Access</summary><detail>No.</detail></error></tsResponse>`, code)
}

// end ends a session, and reports whether it lived.
func (o *oracleTableau) end(token string) bool {
	s, ok := o.sessions.LoadAndDelete(token)
	if ok {
		o.live.Add(-1)
		o.perUser[s.(*oracleSession).user].Add(-1)
	}
	return ok
}

// kill ends the sessions of the users that are chosen, but none that begins
// meanwhile.
func (o *oracleTableau) kill(chosen func(user uint32) bool) {
	last := o.signIns.Load()
	o.sessions.Range(func(token, s any) bool {
		if s := s.(*oracleSession); s.number <= last && chosen(s.user) && o.end(token.(string)) {
			o.killed.Add(1)
		}
		return true
	})
}

// signIn begins a session of the sub of a good JWT.
func (o *oracleTableau) signIn(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, rest, _ := bytes.Cut(body, []byte(`jwt="`))
	jwt, _, _ := bytes.Cut(rest, []byte(`"`))
	user, err := o.verify(string(jwt))
	if err != nil {
		o.faults.note("sign-in: %v", err)
		o.refuse(w, "401001")
		return
	}
	s := &oracleSession{user: user, number: o.signIns.Add(1)}
	if o.perUser[user].Add(1) > 1 {
		o.renewed.Add(1)
	}
	o.live.Add(1)
	token := rand.Text() + "|" + rand.Text() + "|" + oracleSiteID
	o.sessions.Store(token, s)
	w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
	fmt.Fprintf(w, `<tsResponse xmlns="http://tableau.com/api"><credentials token="%s"><site id="%s" contentUrl="%s"/><user id="11111111-2222-4333-8444-%012x"/></credentials></tsResponse>`,
		token, oracleSiteID, testSite, user)
}

// verify returns whom a JWT names, or what is wrong with it.
func (o *oracleTableau) verify(jwt string) (user uint32, err error) {
	last := strings.LastIndexByte(jwt, '.')
	if last < 0 {
		return 0, fmt.Errorf("no JWT")
	}
	mac := hmac.New(sha256.New, []byte(oracleSecret))
	mac.Write([]byte(jwt[:last]))
	if sum, err := base64.RawURLEncoding.DecodeString(jwt[last+1:]); err != nil || !hmac.Equal(sum, mac.Sum(nil)) {
		return 0, fmt.Errorf("a wrong signature")
	}
	_, payload, _ := strings.Cut(jwt[:last], ".")
	var claims struct {
		Sub, Jti, Iss, Aud string
		Exp                int64
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return 0, err
	}
	user, ok := parseUser(claims.Sub)
	if !ok || int(user) >= len(o.perUser) || claims.Iss != oracleClientID || claims.Aud != audienceTableau || time.Now().Unix() > claims.Exp {
		return 0, fmt.Errorf("wrong claims: %+v", claims)
	}
	jti, err := uuid.Parse(claims.Jti)
	if err != nil || !o.first(jti) {
		return 0, fmt.Errorf("the jti %s came before", claims.Jti)
	}
	return user, nil
}

// first reports whether id is new. Ids are remembered for longer than a JWT
// lives.
func (o *oracleTableau) first(id uuid.UUID) bool {
	o.jtis.Lock()
	defer o.jtis.Unlock()
	if time.Since(o.jtis.turned) > 2*jwtLife {
		o.jtis.before, o.jtis.now, o.jtis.turned = o.jtis.now, make(map[uuid.UUID]struct{}), time.Now()
	}
	_, now := o.jtis.now[id]
	_, before := o.jtis.before[id]
	o.jtis.now[id] = struct{}{}
	return !now && !before
}

// answer checks a request and answers it as the session's owner.
func (o *oracleTableau) answer(w http.ResponseWriter, r *http.Request, s *oracleSession) {
	asked, ok := parseWish(r.URL.RawQuery)
	if !ok {
		o.faults.note("the query %q", r.URL.RawQuery)
	}
	o.checkHead(r, asked, s.user)
	buffer := o.buffers.Get().(*[4096]byte)
	defer o.buffers.Put(buffer)
	if asked.mode != modeEarly {
		o.takeBody(r, asked, buffer[:])
	}
	w.Header()[headerOracle] = []string{r.URL.RawQuery}
	w.Header()["Content-Type"] = []string{"text/plain"}
	p := newPage(asked.nonce, s.user, asked.records)
	switch asked.mode {
	case modeHold:
		o.hold(r)
	case modeHalf:
		p.size /= 2
		write(w, &p, buffer[:])
		_ = http.NewResponseController(w).Flush()
		o.hold(r)
	case modeOther:
		w.WriteHeader(http.StatusUnauthorized)
	case modeEarly:
		_ = http.NewResponseController(w).Flush()
		o.takeBody(r, asked, buffer[:])
	}
	write(w, &p, buffer[:])
}

// checkHead checks that what a request says of itself belongs together.
func (o *oracleTableau) checkHead(r *http.Request, asked wish, owner uint32) {
	if asked.user != owner || r.Header.Get(headerOracleUser) != userName(owner) {
		o.faults.note("the session of %s came with a request of %s, and the header of %q", userName(owner), userName(asked.user), r.Header.Get(headerOracleUser))
	}
	value, there := asked.once()
	if got := r.Header[headerOnce]; there != (len(got) == 1) || there && got[0] != value {
		o.faults.note("the header of another request: %q instead of %q", got, value)
	}
}

// takeBody checks the body of a request, which must be the one that belongs to
// it, and whole unless the client has gone.
func (o *oracleTableau) takeBody(r *http.Request, asked wish, buffer []byte) {
	want := newPage(asked.nonce, asked.user, asked.sends)
	for {
		n, err := r.Body.Read(buffer)
		if !want.accepts(buffer[:n]) {
			o.faults.note("another body than the one that belongs to the request: byte %d of %d, %q", want.at, want.size, buffer[:min(n, recordSize)])
			return
		}
		switch {
		case err == nil:
		case err != io.EOF:
			panic(http.ErrAbortHandler)
		case !want.whole():
			o.faults.note("%d of %d bytes of a body, and then its end", want.at, want.size)
			return
		default:
			return
		}
	}
}

// hold waits until the client has gone. That a client has gone must get through.
func (o *oracleTableau) hold(r *http.Request) {
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	select {
	case <-r.Context().Done():
	case <-patience.C:
		o.stuck.Add(1)
	}
	panic(http.ErrAbortHandler)
}

func write(w io.Writer, p *page, buffer []byte) {
	for !p.whole() {
		n, _ := p.Read(buffer)
		if _, err := w.Write(buffer[:n]); err != nil {
			return
		}
	}
}
