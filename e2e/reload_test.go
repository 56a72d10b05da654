// These tests show that a reload ends no session that is still wanted.

package e2e

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// reload loads a configuration through the command line, as an operator does.
func (r *rig) reload(options ...string) finished {
	r.t.Helper()
	path := r.conf.write(r.t)
	args := append([]string{"reload", "--config", path, "--adapter", "caddyfile", "--address", "unix/" + r.conf.Dir + "/admin"}, options...)
	done := runCaddy(r.t, r.conf.Dir, r.env(), args...)
	r.kept.add("caddy reload", []byte(done.stdout+done.stderr))
	return done
}

func (r *rig) mustReload(options ...string) {
	r.t.Helper()
	if done := r.reload(options...); done.code != 0 {
		r.t.Fatalf("caddy reload: exit code %d\n%s", done.code, r.kept.clean(done.stderr))
	}
}

func TestReloadKeepsTheSessions(t *testing.T) {
	r := newRig(t, setup{})
	c := r.h2()
	c.get("alice", workbooks).expect(r, http.StatusOK)
	before := r.Sessions()

	t.Run("nothing changed", func(t *testing.T) { r.mustReload("--force") })
	t.Run("something else changed", func(t *testing.T) {
		r.conf.Routes = "respond /health 200"
		r.mustReload()
		if a := c.get("alice", "/health"); a.status != http.StatusOK {
			t.Errorf("the new configuration is not in force: /health gives %d", a.status)
		}
	})
	t.Run("users changed", func(t *testing.T) {
		r.conf.Users = mappedUsers + "\n\t\tuser_map mallory carol"
		r.mustReload()
		c.get("mallory", workbooks).expect(r, http.StatusOK)
	})
	t.Run("broken configuration", func(t *testing.T) {
		good := r.conf
		r.conf.Secret = "{env.NO_SUCH_VARIABLE}"
		if done := r.reload(); done.code == 0 {
			t.Error("a configuration without its secret was loaded")
		}
		r.conf = good
	})
	c.get("alice", workbooks).expect(r, http.StatusOK)
	r.expectSignIns(2) // alice, and mallory as carol
	if after := r.Sessions(); len(after) != 2 || after[0].ID != before[0].ID {
		t.Errorf("the session of alice was %s, sessions now: %+v", before[0].ID, after)
	}
	if n := len(r.entries("sign_out")); n != 0 {
		t.Errorf("%d sign-outs", n)
	}
	r.proxy.signal(syscall.SIGTERM)
	r.expectSignedOut(2)
}

func TestReloadLetsARequestInFlightFinish(t *testing.T) {
	r := newRig(t, setup{})
	c := r.plain()
	c.get("alice", workbooks).expect(r, http.StatusOK)
	hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Count: 1, Hang: true})
	inFlight := c.later(c.request(http.MethodGet, "alice", workbooks, nil))
	r.wait(hang, 1)
	r.conf.Routes = "respond /health 200"
	config := []byte(r.conf.text(t))
	loaded := make(chan error, 1)
	go func() {
		_, err := r.adminCall(http.MethodPost, "/load", "text/caddyfile", config)
		loaded <- err
	}()
	eventually(t, "the new configuration in force", func() bool {
		// On a connection of its own: the old server closes those it has.
		a, err := r.plain().try(r.plain().request(http.MethodGet, "alice", "/health", nil))
		return err == nil && a.status == http.StatusOK
	})
	hang.Remove()
	r.await(inFlight).expect(r, http.StatusOK)
	if err := <-loaded; err != nil {
		t.Error(err)
	}
	r.expectSignIns(1)
}

// A session goes with the credential that began it.
func TestReloadWithAnotherSecretEndsTheOldSessions(t *testing.T) {
	r := prepare(t, setup{})
	r.conf.Secret = "{file." + r.file("secret-1", []byte(r.app.Secrets[0].Value.Reveal())) + "}"
	r.start()
	c := r.plain()
	c.get("alice", workbooks).expect(r, http.StatusOK)
	old := r.Sessions()[0].ID

	fresh, err := r.AddSecret(r.app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteSecret(r.app.ClientID, r.app.Secrets[0].ID); err != nil {
		t.Fatal(err)
	}
	r.conf.SecretID = fresh.ID
	r.conf.Secret = "{file." + r.file("secret-2", []byte(fresh.Value.Reveal())) + "}"
	r.mustReload()
	c.get("alice", workbooks).expect(r, http.StatusOK)
	eventually(t, "the old session signed out", func() bool {
		sessions := r.Sessions()
		return len(sessions) == 1 && sessions[0].ID != old
	})
	r.expectSignIns(2)
}
