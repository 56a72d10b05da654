package main

// This file measures how long a start takes, until the first request has been
// answered: for this project that includes a sign-in.

import (
	"fmt"
	"time"
)

// startPolling is how often a server that starts is asked whether it serves.
const startPolling = time.Millisecond

// starts are the times of interleaved starts, in milliseconds.
type starts struct{ Plain, Ours, Over spread }

// measureStarts starts plain Caddy and this project in turn.
func measureStarts(l *lab, times int) (starts, error) {
	ours, err := variantNamed(nameOurs)
	if err != nil {
		return starts{}, err
	}
	var plainTimes, ourTimes, over []float64
	for range times {
		a, err := timeStart(l, plain)
		if err != nil {
			return starts{}, err
		}
		b, err := timeStart(l, ours)
		if err != nil {
			return starts{}, err
		}
		plainTimes, ourTimes, over = append(plainTimes, a), append(ourTimes, b), append(over, b-a)
	}
	return starts{spreadOf(plainTimes), spreadOf(ourTimes), spreadOf(over)}, nil
}

func timeStart(l *lab, v *variant) (milliseconds float64, err error) {
	began := time.Now()
	s, err := v.start(l, v)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	s.main.kill()
	return took.Seconds() * 1000, nil
}

func variantNamed(name string) (*variant, error) {
	for _, v := range variants {
		if v.name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no variant %q", name)
}
