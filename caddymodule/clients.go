package caddymodule

// This file knows the tools that can present no identity to Caddy: they show
// who they are when they sign in.

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// Client is a tool that can present no identity to Caddy, no header and no
// certificate: it only knows how to sign in at Tableau. It does so with the
// name and the secret that `caddy tableau client add` has made, as a user name
// and password or as a personal access token's name and secret, and the token
// that it gets shows its identity from then on.
type Client struct {
	// The name that the tool signs in with.
	Name string `json:"name,omitempty"`

	// The hash of its secret, bcrypt or argon2id. All clients of a site must
	// use the same of the two.
	Hash string `json:"hash,omitempty"`

	// The identity that it stands for, as if Caddy had verified it. Default:
	// its name.
	Identity string `json:"identity,omitempty"`
}

// clients are the tools of one handler.
type clients struct {
	byName   map[string]Client
	decoy    string // the client against whose hash an unknown name is checked
	verify   *caddyauth.HTTPBasicAuth
	throttle *throttle

	// verifying holds one token: secrets are compared one at a time, so that
	// many guesses at once are counted as they come, and take one CPU at most.
	verifying chan struct{}
}

// newClients checks the clients and sets up Caddy's own check of passwords. Its
// cache is left out: it remembers wrong ones too, which then take no time, but
// only for names that exist. The throttle remembers right ones.
func newClients(ctx caddy.Context, list []Client) (*clients, error) {
	if len(list) == 0 {
		return nil, nil
	}
	c := &clients{byName: make(map[string]Client), decoy: list[0].Name, throttle: newThrottle(), verifying: make(chan struct{}, 1)}
	algorithm := ""
	var accounts []caddyauth.Account
	for _, client := range list {
		if client.Identity == "" {
			client.Identity = client.Name
		}
		if err := checkClient(client); err != nil {
			return nil, fmt.Errorf("clients: %q: %w", client.Name, err)
		}
		if _, twice := c.byName[client.Name]; twice {
			return nil, fmt.Errorf("clients: %q is there twice", client.Name)
		}
		if algorithm == "" {
			algorithm = hashAlgorithm(client.Hash)
		}
		if algorithm != hashAlgorithm(client.Hash) {
			return nil, errors.New("clients: some hashes are bcrypt and some argon2id: use one kind, or an unknown name would show by its time")
		}
		c.byName[client.Name] = client
		accounts = append(accounts, caddyauth.Account{Username: client.Name, Password: client.Hash})
	}
	hash, err := json.Marshal(map[string]string{"algorithm": algorithm})
	if err != nil {
		return nil, err
	}
	c.verify = &caddyauth.HTTPBasicAuth{HashRaw: hash, AccountList: accounts}
	return c, c.verify.Provision(ctx)
}

func checkClient(c Client) error {
	switch {
	case tableauauth.CheckUser(c.Name) != nil:
		return tableauauth.CheckUser(c.Name)
	case strings.ContainsAny(c.Name, ":{}"):
		return errors.New("a name may hold no colon and no braces")
	case tableauauth.CheckUser(c.Identity) != nil:
		return fmt.Errorf("identity: %w", tableauauth.CheckUser(c.Identity))
	case hashAlgorithm(c.Hash) == "":
		return errors.New("its hash is neither bcrypt nor argon2id: make one with caddy tableau client add")
	default:
		return nil
	}
}

// hashAlgorithm returns the name of Caddy's module for the hash, or "".
func hashAlgorithm(hash string) string {
	switch {
	case strings.HasPrefix(hash, "$2a$"), strings.HasPrefix(hash, "$2b$"), strings.HasPrefix(hash, "$2y$"):
		return "bcrypt"
	case strings.HasPrefix(hash, "$argon2id$"):
		return "argon2id"
	default:
		return ""
	}
}

// signIn returns the client whose name and secret c presents. All that is wrong
// gets the same answer, after the same work.
func (cs *clients) signIn(r *http.Request, c tableauapi.Credentials) (Client, *refusal) {
	name, secret := c.Name, c.Password
	if name == "" {
		name, secret = c.TokenName, c.TokenSecret
	}
	if name == "" {
		return Client{}, refuseClient.with("A JWT says nothing to this proxy. Sign in with the name and the secret that its operator has given to this tool, as a user name and password or as a personal access token.", nil)
	}
	if cs.throttle.isKnown(name, secret) {
		return cs.byName[name], nil
	}
	select {
	case cs.verifying <- struct{}{}:
		defer func() { <-cs.verifying }()
	case <-r.Context().Done():
		return Client{}, clientGone.with("", context.Cause(r.Context()))
	}
	if cs.throttle.isKnown(name, secret) { // since others of this tool waited, too
		return cs.byName[name], nil
	}
	return cs.compare(name, clientIP(r), secret)
}

// compare checks a secret that was not right before. A name that does not exist
// takes as long as one that does.
func (cs *clients) compare(name, address string, secret tableauapi.Secret) (Client, *refusal) {
	if wait, busy := cs.throttle.take(name, address, secret); busy {
		f := refuseThrottled.with("", nil)
		f.retryAfter = wait
		return Client{}, f
	}
	client, known := cs.byName[name]
	account := name
	if !known {
		account = cs.decoy // Caddy's own has cost 14, which would show where ours have another
	}
	attempt := &http.Request{Header: make(http.Header)}
	attempt.SetBasicAuth(account, secret.Reveal())
	_, ok, err := cs.verify.Authenticate(headerOnly{}, attempt)
	if err != nil || !ok || !known {
		cs.throttle.failed(name, address)
		return Client{}, refuseClient.with("", err)
	}
	cs.throttle.succeeded(name, secret)
	return client, nil
}

// proof is what a token shows to have been accepted for a client: when its
// hash or identity changes, its tokens end.
func (c Client) proof() string {
	sum := sha256.Sum256([]byte(c.Name + "\x00" + c.Hash + "\x00" + c.Identity))
	return c.Name + ":" + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// byProof returns the client whose proof a token carries.
func (cs *clients) byProof(proof string) (Client, bool) {
	name, _, _ := strings.Cut(proof, ":")
	client, ok := cs.byName[name]
	return client, ok && client.proof() == proof
}

// headerOnly is a response that goes nowhere: Caddy's check of a password sets
// a header on it.
type headerOnly struct{}

func (headerOnly) Header() http.Header         { return make(http.Header) }
func (headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (headerOnly) WriteHeader(int)             {}
