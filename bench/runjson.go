package main

// This file runs a program that reads one JSON document and prints another.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

func runJSON[T any](ctx context.Context, in any, program string, args ...string) (out T, err error) {
	document, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program itself
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(document), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return out, fmt.Errorf("%v: %w: %s", args, err, stderr.Bytes())
	}
	return out, json.Unmarshal(stdout.Bytes(), &out)
}
