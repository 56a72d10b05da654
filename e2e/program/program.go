// Package program holds what the packages of tests around it share: how the
// real binary is built, where it listens, with which certificate, and what it
// prints.
package program

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// tags leave out the database drivers that nobody needs here.
const tags = "nobadger,nomysql,nopgx"

// Build builds a program of the module at root into file.
func Build(root, pkg, file string) error {
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", tags, "-o", file, pkg) //nolint:gosec // the tests' own words
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// DependOnSources looks at every source file of the module at root. The go
// command notes which files a test looks at, and runs it again when one has
// changed; otherwise it would repeat a result of another binary. It notes
// nothing before the first test has begun.
func DependOnSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && len(name) > 2 && name[0] == '.' {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".go" || filepath.Base(path) == "go.mod" {
			_, err = os.Stat(path)
		}
		return err
	})
}

// FreePort reserves a port by listening on it for a moment.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// Certificate makes a certificate for localhost and its key, both as PEM. It
// signs itself, and is a CA as well, since some clients trust nothing else.
func Certificate(t testing.TB) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}
