package main

// This file reads the list of skips that a strict run accepts.

import (
	"fmt"
	"os"
	"strings"
)

// allowance accepts the skip of one test.
type allowance struct {
	pkg  string // the end of the package's import path
	test string
}

// readAllowed reads lines of the form "package test reason"; empty lines and
// those that begin with # are passed over. No file, no allowances.
func readAllowed(file string) ([]allowance, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the caller's choice
	if err != nil {
		return nil, err
	}
	var allow []allowance
	for i, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want a package, a test and the reason why it may be skipped", file, i+1)
		}
		allow = append(allow, allowance{pkg: fields[0], test: fields[1]})
	}
	return allow, nil
}

// covers tells whether the allowance is for this skip.
func (a allowance) covers(s skip) bool {
	return a.test == s.test && (a.pkg == s.pkg || strings.HasSuffix(s.pkg, "/"+a.pkg))
}
