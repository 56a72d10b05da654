package caddymodule

// This file holds the limits on sign-ins and sessions, as global options.

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// limits returns the limits on sign-ins.
func (a *App) limits() tableauauth.SignInLimits {
	return tableauauth.SignInLimits{
		Rate:     a.SignInRate,
		PerGrant: a.SignInRatePerUser,
		InFlight: a.MaxSignIns,
		Queue:    a.SignInQueue,
		Wait:     time.Duration(a.SignInWait),
	}
}

// checkLimits refuses limits that would let nothing through.
func (a *App) checkLimits() error {
	for _, limit := range []struct {
		name  string
		value float64
	}{
		{"sign_in_rate", a.SignInRate},
		{"sign_in_rate_per_user", a.SignInRatePerUser},
		{"max_sign_ins", float64(a.MaxSignIns)},
		{"sign_in_queue", float64(a.SignInQueue)},
		{"sign_in_wait", float64(a.SignInWait)},
		{"max_sessions", float64(a.MaxSessions)},
	} {
		if !(limit.value >= 0) { // not a number is less than nothing, too
			return errors.New(limit.name + ": must be more than 0")
		}
	}
	return nil
}

// unmarshalLimit reads the limit that d stands at, and reports whether it is one.
func (a *App) unmarshalLimit(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "sign_in_rate":
		return true, unmarshalRate(d, &a.SignInRate)
	case "sign_in_rate_per_user":
		return true, unmarshalRate(d, &a.SignInRatePerUser)
	case "max_sign_ins":
		return true, unmarshalCount(d, &a.MaxSignIns)
	case "sign_in_queue":
		return true, unmarshalCount(d, &a.SignInQueue)
	case "max_sessions":
		return true, unmarshalCount(d, &a.MaxSessions)
	case "sign_in_wait":
		return true, unmarshalWait(d, &a.SignInWait)
	default:
		return false, nil
	}
}

// unmarshalRate reads one number, which need not be whole.
func unmarshalRate(d *caddyfile.Dispenser, to *float64) error {
	option, value, err := onceOnly(d, *to != 0)
	if err != nil {
		return err
	}
	if *to, err = strconv.ParseFloat(value, 64); err != nil || !(*to > 0) || *to > 1e6 {
		return d.Errf("%s: %q is not a number from just above 0 to 1000000", option, value)
	}
	return nil
}

// unmarshalCount reads one whole number.
func unmarshalCount(d *caddyfile.Dispenser, to *int) error {
	option, value, err := onceOnly(d, *to != 0)
	if err != nil {
		return err
	}
	if *to, err = strconv.Atoi(value); err != nil || *to < 1 || *to > 100_000_000 {
		return d.Errf("%s: %q is not a whole number from 1 to 100000000", option, value)
	}
	return nil
}

// unmarshalWait reads one duration.
func unmarshalWait(d *caddyfile.Dispenser, to *caddy.Duration) error {
	option, value, err := onceOnly(d, *to != 0)
	if err != nil {
		return err
	}
	wait, err := caddy.ParseDuration(value)
	if err != nil || wait <= 0 {
		return d.Errf("%s: %q is not a duration such as 10s", option, value)
	}
	*to = caddy.Duration(wait)
	return nil
}

// onceOnly reads the one argument of an option that may stand once.
func onceOnly(d *caddyfile.Dispenser, given bool) (option, value string, err error) {
	option = d.Val()
	if given {
		return "", "", d.Errf("%s is given twice", option)
	}
	return option, value, unmarshalOne(d, &value)
}
