package caddymodule

// This file makes private keys for `oauth_trust` and `unified_access`.

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// keygenBits is the size that Tableau's help asks for in RSA keys.
const keygenBits = 2048

func keygenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen [--type rsa|ec] [--kid <kid>] [--issuer <url>] --out <file>",
		Short: "Makes a private key for oauth_trust or unified_access",
		Long: `
Makes a private key that sign-ins at Tableau are signed with, writes it to a file
that nobody else can read (PEM, PKCS#8), and prints what to register at Tableau
and the lines for the configuration. The private key itself is not printed. A
file that is there already is left alone.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().String("type", "rsa", "rsa (RS256), or ec (ES256), which unified access tokens do not allow")
	cmd.Flags().String("kid", "", "name of the key (default: made from the key)")
	cmd.Flags().String("issuer", "", "https URL under which Tableau reaches this server")
	cmd.Flags().String("out", "", "file to write the private key to")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		k := keygen{kind: fl.String("type"), kid: fl.String("kid"), issuer: fl.String("issuer"), out: fl.String("out")}
		if err := k.run(os.Stdout); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// keygen is one key to make.
type keygen struct{ kind, kid, issuer, out string }

// run makes the key. Everything that can be wrong is looked at before the file
// is written.
func (k keygen) run(out io.Writer) error {
	path, err := k.path()
	if err != nil {
		return err
	}
	private, err := k.generate()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return err
	}
	digest := sha256.Sum256(public)
	k.kid = cmp.Or(k.kid, hex.EncodeToString(digest[:8]))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	key, err := tableauauth.ParseSigningKey(k.kid, tableauapi.NewSecret(string(text)))
	if err != nil {
		return fmt.Errorf("--kid: %w", err)
	}
	guide, err := k.guide(path, key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	if err != nil {
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	_, err = io.WriteString(out, guide)
	return err
}

// path is where the key goes, as the configuration has to name it.
func (k keygen) path() (string, error) {
	if k.out == "" {
		return "", errors.New("--out: missing: name the file to write the private key to")
	}
	path, err := filepath.Abs(k.out)
	if err != nil {
		return "", fmt.Errorf("--out: %w", err)
	}
	if strings.ContainsAny(path, "{}`") {
		return "", fmt.Errorf("--out: %s holds braces or a backquote, which a configuration cannot name: choose another file", path)
	}
	if _, err := os.Lstat(path); err == nil {
		return "", errExists(path)
	}
	return path, nil
}

func errExists(path string) error {
	return fmt.Errorf("--out: %s exists, and may hold a key that is in use: choose another file", path)
}

func (k keygen) generate() (crypto.Signer, error) {
	switch k.kind {
	case "rsa":
		return rsa.GenerateKey(rand.Reader, keygenBits)
	case "ec":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("--type: %q is neither rsa nor ec", k.kind)
	}
}

// writeNew writes a file that is not there yet and that only its owner reads.
func writeNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's choice
	if errors.Is(err, fs.ErrExist) {
		return errExists(path)
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("--out: %w", errors.Join(err, os.Remove(path)))
		}
	}()
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// exampleIssuer stands where no issuer was given.
const exampleIssuer = "https://tableau-proxy.corp.example"

// guide says what to do with the key.
func (k keygen) guide(path string, key tableauauth.SigningKey, publicPEM []byte) (string, error) {
	issuer := cmp.Or(k.issuer, exampleIssuer)
	if _, err := tableauauth.NewOAuthTrust(issuer, "tableau", key); err != nil {
		return "", fmt.Errorf("--issuer: %w", err)
	}
	tokens := map[string]string{"Issuer": issuer, "KID": key.ID()}
	for name, token := range tokens {
		q, err := quoted(token)
		if err != nil {
			return "", fmt.Errorf("%q: %w", token, err)
		}
		tokens[name] = q
	}
	file := "{file." + path + "}"
	if strings.ContainsAny(path, " \t\"#\\") {
		file = "`" + file + "`"
	}
	var b strings.Builder
	err := keygenGuide.Execute(&b, map[string]any{
		"Path": path, "Example": k.issuer == "", "Unified": key.Algorithm() == "RS256",
		"Key": key.String(), "JWK": string(key.JWK()), "PEM": string(publicPEM),
		"Issuer": issuer, "JWKSURI": jwksURI(issuer),
		"Line": "key " + tokens["KID"] + " " + file, "IssuerToken": tokens["Issuer"],
	})
	return b.String(), err
}

var keygenGuide = template.Must(template.New("guide").Parse(`The private key, {{.Key}}, is in
  {{.Path}}
Only you can read it: let the user that Caddy runs as read it too, and nobody else.
{{if .Example}}
Below, put the https URL of your proxy in the place of {{.Issuer}}.
{{end}}
For OAuth 2.0 trust
  At Tableau, Settings > Connected Apps > New Connected App > OAuth 2.0 Trust:
    Issuer URL  {{.Issuer}}
    JWKS URI    {{.JWKSURI}}
                (only where Tableau asks for one: it finds it by the issuer)
  In the configuration, with the LUID of your site, or "audience tableau" for an
  issuer that is registered for a whole Tableau Server:
    credentials oauth_trust {
      issuer   {{.IssuerToken}}
      audience tableau:<site_luid>
      {{.Line}}
    }
  and, in the site that {{.Issuer}} leads to:
    tableau_issuer
{{if .Unified}}
For unified access tokens (Tableau Cloud)
  In Tableau Cloud Manager, in a new unified access token configuration:
    Issuer      {{.Issuer}}
    Public key, as the form wants it, in PEM or as a JWK:
{{.PEM}}
{{.JWK}}

  In the configuration, with the ID of your tenant:
    credentials unified_access {
      issuer {{.IssuerToken}}
      tenant <tenant_id>
      {{.Line}}
    }
{{else}}
Unified access tokens need an RSA key: make one with --type rsa.
{{end}}`))
