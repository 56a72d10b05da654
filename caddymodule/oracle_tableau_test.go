package caddymodule

// This file holds the Tableau of the cross-user oracle, and what ends sessions
// there.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// tableau is the simulator, but for requests of the oracle: of these it is asked
// only whose the session is.
func (o *oracleRig) tableau(w http.ResponseWriter, r *http.Request) {
	fields := strings.Split(strings.TrimPrefix(r.URL.RawQuery, "o="), ",")
	if len(fields) != 5 {
		if strings.HasSuffix(r.URL.Path, "/auth/signin") {
			o.signIns.Add(1)
		}
		o.Tableau.ServeHTTP(w, r)
		return
	}
	owner := o.owner(w, r)
	if owner == "" {
		return
	}
	var sends, wants int
	fmt.Sscan(fields[2], &sends)
	fmt.Sscan(fields[3], &wants)
	got, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if nonce := r.Header.Get(headerNonce); fields[0] != owner || nonce != fields[1] {
		o.t.Errorf("the session of %s came with the request %v, and the header of %q", owner, fields, nonce)
	}
	if want := content(owner, fields[1], sends); !bytes.Equal(got, want) {
		o.t.Errorf("the request %v came with another body, of %d bytes: %.200q", fields, len(got), got)
	}
	w.Header().Set("X-Oracle", owner+" "+fields[1])
	answer := content(owner, fields[1], wants)
	switch fields[4] {
	case "wait":
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "answer":
		_, _ = w.Write(answer[:(len(answer)+1)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(answer)
	}
}

// owner asks the simulator whose session a request has, or lets it refuse the
// request.
func (o *oracleRig) owner(w http.ResponseWriter, r *http.Request) string {
	who := httptest.NewRequest(http.MethodGet, api+"/sessions/current", nil)
	who.Header = r.Header
	said := httptest.NewRecorder()
	o.Tableau.ServeHTTP(said, who)
	if said.Code != http.StatusOK {
		w.Header().Set("Content-Type", said.Header().Get("Content-Type"))
		w.WriteHeader(said.Code)
		_, _ = w.Write(said.Body.Bytes())
		return ""
	}
	_, user, _ := strings.Cut(said.Body.String(), "<user ")
	_, name, _ := strings.Cut(user, ` name="`)
	name, _, _ = strings.Cut(name, `"`)
	return name
}

// killer ends sessions every second, of one who asks much and of some others;
// and once all of them.
func (o *oracleRig) killer(ctx context.Context, random *rand.Rand) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		o.ResetJournal()
		for _, s := range o.Sessions() {
			if n == 1 || s.User == fmt.Sprintf("user%03d", n%4) || random.IntN(30) == 0 {
				o.killed.Add(int64(o.KillSessions(tableautest.SessionFilter{User: s.User})))
			}
		}
	}
}

func (o *oracleRig) judge(t *testing.T) {
	for what, n := range map[string]int64{
		"answer over HTTP/1.1": o.h1.Load(), "answer over HTTP/2": o.h2.Load(), "cancellation": o.left.Load(), "ended session": o.killed.Load(),
	} {
		if n == 0 {
			t.Errorf("no %s: the oracle has seen nothing", what)
		}
	}
	t.Logf("answers checked: %d over HTTP/1.1, %d over HTTP/2; %d cancelled; %d sessions ended, %d sign-ins; told to try again: %d, %d",
		o.h1.Load(), o.h2.Load(), o.left.Load(), o.killed.Load(), o.signIns.Load(), o.ended.Load(), o.twice.Load())
}
