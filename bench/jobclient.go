package main

// This file is the job in Go, done by a process of its own for each line of its
// input, as the scripts do it.

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func runJob(ctx context.Context, _ []string) error {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		where := strings.Fields(lines.Text())
		if len(where) != 4 {
			return fmt.Errorf("%d words, want server, file of CAs, name and secret", len(where))
		}
		if err := doJob(ctx, where[0]+apiPath, where[1], where[2], where[3]); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return lines.Err()
}

// doJob signs in, reads ten times, and signs out.
func doJob(ctx context.Context, api, caFile, name, secret string) error {
	pem, err := os.ReadFile(caFile) //nolint:gosec // a file of the benchmark itself
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	j := &job{client: &http.Client{Transport: transport}}

	var signedIn struct {
		Credentials struct {
			Token string
			Site  struct{ ID string }
		}
	}
	body := fmt.Sprintf(`{"credentials":{"name":%q,"password":%q,"site":{"contentUrl":%q}}}`, name, secret, jobSite)
	answer, err := j.call(ctx, http.MethodPost, api+"/auth/signin", body)
	if err == nil {
		err = json.Unmarshal(answer, &signedIn)
	}
	if err != nil {
		return err
	}
	j.token = signedIn.Credentials.Token
	for range 10 {
		if _, err := j.call(ctx, http.MethodGet, api+"/sites/"+signedIn.Credentials.Site.ID+"/workbooks", ""); err != nil {
			return err
		}
	}
	_, err = j.call(ctx, http.MethodPost, api+"/auth/signout", "")
	return err
}

type job struct {
	client *http.Client
	token  string
}

func (j *job) call(ctx context.Context, method, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if j.token != "" {
		req.Header.Set(headerToken, j.token)
	}
	res, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, url, res.Status, answer)
	}
	return answer, err
}
