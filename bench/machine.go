package main

// This file says on what a run was measured.

import (
	"context"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// A machine is what a run was measured on, and with.
type machine struct {
	Processor string
	Cores     int
	Kernel    string
	Caddy     string
	Peers     []string // names and versions
}

func describeMachine(ctx context.Context, caddy string) machine {
	m := machine{Cores: runtime.NumCPU(), Processor: "unknown processor", Kernel: "unknown kernel", Caddy: firstLine(ctx, caddy, "version")}
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 && cpus[0].ModelName != "" {
			m.Processor = cpus[0].ModelName
		}
	}
	if kernel := firstLine(ctx, "uname", "-sr"); kernel != "" {
		m.Kernel = kernel
	}
	version := regexp.MustCompile(`\d+\.\d+\.\d+`)
	for _, peer := range []string{"nginx", "haproxy"} {
		if found := version.FindString(firstLine(ctx, peer, "-v")); found != "" {
			m.Peers = append(m.Peers, peer+" "+found)
		}
	}
	return m
}

// firstLine is what a program prints first, or "".
func firstLine(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput() //nolint:gosec // the programs that are measured
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
