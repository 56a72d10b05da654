package program

// This file keeps what a program prints, for whoever waits for it.

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// An Output collects what a program prints, and tells who waits for it.
type Output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

// NewOutput returns an empty output.
func NewOutput() *Output { return &Output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

// read returns what there is, and a channel that is closed when there is more.
func (o *Output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.changed
}

// String returns what there is.
func (o *Output) String() string {
	text, _ := o.read()
	return text
}

// Why Await has waited in vain.
var (
	ErrEnded    = errors.New("the program ended")
	ErrTimedOut = errors.New("the program took too long")
)

// Await waits until o holds text, and returns all of o. It gives up with
// [ErrEnded] when the program has ended, and with [ErrTimedOut] after patience.
func (o *Output) Await(text string, ended <-chan struct{}, patience time.Duration) (all string, err error) {
	timeout := time.After(patience)
	for {
		all, changed := o.read()
		if strings.Contains(all, text) {
			return all, nil
		}
		select {
		case <-changed:
		case <-ended:
			if all = o.String(); strings.Contains(all, text) {
				return all, nil
			}
			return all, ErrEnded
		case <-timeout:
			return all, ErrTimedOut
		}
	}
}
