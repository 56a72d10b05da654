package auditlog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "audit")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "audit.log")

	// The key is made once, and kept where the log is not.
	key, err := auditlog.GenerateKey("proxy1.corp.example/audit")
	if err != nil {
		panic(err)
	}
	log, err := auditlog.Open(path, auditlog.Options{Key: key})
	if err != nil {
		panic(err)
	}
	// The record is durable when Append returns.
	if err := log.Append(ctx, "egress.intent", slog.String("user", "alice"), slog.String("method", "DELETE")); err != nil {
		panic(err)
	}
	if err := log.AppendAsync("egress.outcome", slog.Int("status", 204)); err != nil {
		panic(err)
	}
	if err := log.Close(ctx); err != nil {
		panic(err)
	}

	// Somebody with the public key verifies the log.
	verify := func() {
		keys, _ := auditlog.ReadVerifiers(auditlog.PublicKeyFile(path))
		files, _ := auditlog.Files(path)
		report, err := auditlog.Verify(ctx, files, auditlog.VerifyOptions{Keys: keys})
		if err != nil {
			panic(err)
		}
		fmt.Printf("%d records, intact: %t\n", report.Records, report.OK())
		for _, f := range report.Findings {
			fmt.Printf("%s: record %d\n", f.Kind, f.First)
		}
	}
	verify()

	// Somebody else rewrites history.
	text, _ := os.ReadFile(path)
	_ = os.WriteFile(path, bytes.Replace(text, []byte("alice"), []byte("bob"), 1), 0o600)
	verify()

	// Output:
	// 5 records, intact: true
	// 5 records, intact: false
	// changed: record 2
}

func ExampleRecords() {
	dir, _ := os.MkdirTemp("", "audit")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "audit.log")
	key, _ := auditlog.GenerateKey("proxy1.corp.example/audit")
	log, err := auditlog.Open(path, auditlog.Options{Key: key})
	if err != nil {
		panic(err)
	}
	_ = log.Append(context.Background(), "session.signin", slog.String("user", "alice"), slog.Bool("ok", true))
	_ = log.Close(context.Background())

	files, _ := auditlog.Files(path)
	for record, err := range auditlog.Records(context.Background(), files...) {
		if err != nil {
			panic(err)
		}
		fmt.Println(record.Seq, record.Event)
	}

	// Output:
	// 0 audit.file
	// 1 audit.checkpoint
	// 2 session.signin
	// 3 audit.checkpoint
}

func ExampleProve() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "audit")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "audit.log")
	key, _ := auditlog.GenerateKey("proxy1.corp.example/audit")
	log, err := auditlog.Open(path, auditlog.Options{Key: key})
	if err != nil {
		panic(err)
	}
	_ = log.Append(ctx, "session.signin", slog.String("user", "alice"))
	_ = log.Close(ctx)

	// The proof can be checked without the log.
	files, _ := auditlog.Files(path)
	proof, err := auditlog.Prove(ctx, files, 2, nil, key.Verifier())
	if err != nil {
		panic(err)
	}
	fmt.Println(proof.Check(key.Verifier()))

	proof.Seq = 1
	fmt.Println(proof.Check(key.Verifier()) != nil)

	// Output:
	// <nil>
	// true
}
