package main

// This file holds the load generator, a process of its own: many connections
// that are kept alive, each with one request under way, for many users. It
// checks every answer. wrk could drive as many requests, but could not tell
// whether an answer is the one for the user who asked.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// The kinds of load.
const (
	loadReads     = "reads"     // small answers, for a while
	loadEachUser  = "each-user" // one for each user, so that all have sessions
	loadDownloads = "downloads" // large answers
	loadUploads   = "uploads"   // large requests
)

// A loadPlan says what to do.
type loadPlan struct {
	Address     string        `json:"address"`
	Kind        string        `json:"kind"`
	Connections int           `json:"connections"`
	Users       int           `json:"users"`
	Duration    time.Duration `json:"duration"`
	Owner       string        `json:"owner,omitempty"` // of every answer, if not the user who asks
}

// A loadResult is what came of it.
type loadResult struct {
	Requests int     `json:"requests"` // answered as they should be
	Seconds  float64 `json:"seconds"`
	Wrong    int     `json:"wrong"`             // answered otherwise, or not at all
	Example  string  `json:"example"`           // of what was wrong
	Redials  int     `json:"redials,omitempty"` // connections that the server has closed
}

// runLoad reads a plan and prints the result, both as JSON.
func runLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var plan loadPlan
	if err := json.NewDecoder(in).Decode(&plan); err != nil {
		return err
	}
	result, err := plan.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

func (plan loadPlan) run(ctx context.Context) (loadResult, error) {
	if plan.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, plan.Duration)
		defer cancel()
	}
	requests, err := plan.requests()
	if err != nil {
		return loadResult{}, err
	}
	results := make([]loadResult, plan.Connections)
	var all sync.WaitGroup
	began := time.Now()
	for i := range results {
		all.Go(func() { results[i] = plan.drive(ctx, i, requests) })
	}
	all.Wait()
	total := loadResult{Seconds: time.Since(began).Seconds()}
	for _, r := range results {
		total.Requests += r.Requests
		total.Wrong += r.Wrong
		total.Redials += r.Redials
		if r.Example != "" {
			total.Example = r.Example
		}
	}
	return total, nil
}

// A request is the bytes to send and what must come back.
type request struct {
	head   []byte
	body   int // bytes of zeros behind the head
	owner  string
	answer int // bytes
}

// requests are one for each user.
func (plan loadPlan) requests() ([]request, error) {
	line, body, answer := "GET "+listPath, 0, answerBytes
	switch plan.Kind {
	case loadReads, loadEachUser:
	case loadDownloads:
		line, answer = "GET "+downloadPath, bodyBytes
	case loadUploads:
		line, body = "PUT "+uploadPath, bodyBytes
	default:
		return nil, fmt.Errorf("no kind of load is %q", plan.Kind)
	}
	length := ""
	if body > 0 {
		length = "Content-Type: multipart/mixed; boundary=b\r\nContent-Length: " + strconv.Itoa(body) + "\r\n"
	}
	all := make([]request, plan.Users)
	for n := range all {
		user := userName(n)
		head := line + " HTTP/1.1\r\nHost: " + plan.Address + "\r\nUser-Agent: bench\r\nAccept: application/json\r\n" +
			headerUser + ": " + user + "\r\n" + length + "\r\n"
		all[n] = request{head: []byte(head), body: body, owner: user, answer: answer}
		if plan.Owner != "" {
			all[n].owner = plan.Owner
		}
	}
	return all, nil
}

// drive keeps one connection busy. Connections begin at different users, and
// walk through all of them in steps that share no factor with any round number.
func (plan loadPlan) drive(ctx context.Context, number int, requests []request) (r loadResult) {
	const step = 7919
	c := &loadConn{address: plan.Address}
	defer c.close()
	for i := 0; ; i++ {
		next := (number*len(requests)/plan.Connections + i*step) % len(requests)
		if plan.Kind == loadEachUser {
			if next = number + i*plan.Connections; next >= len(requests) {
				return r
			}
		}
		if ctx.Err() != nil {
			return r
		}
		err := c.exchange(ctx, requests[next])
		switch {
		case err == nil:
			r.Requests++
		case errors.Is(err, errStale):
			r.Redials++
			i-- // nothing was answered: the same again
		default:
			r.Wrong++
			r.Example = fmt.Sprintf("%s asked: %v", userName(next), err)
			c.close()
		}
	}
}

// load runs the load generator as a process of its own.
func load(ctx context.Context, plan loadPlan) (loadResult, error) {
	self, err := os.Executable()
	if err != nil {
		return loadResult{}, err
	}
	return runJSON[loadResult](ctx, plan, self, "load")
}
