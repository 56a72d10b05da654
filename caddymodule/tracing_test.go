package caddymodule

// This file checks which spans a request's trace gets.

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// A tracedSpan records what is done with it.
type tracedSpan struct {
	noop.Span
	provider *spanRecorder
	name     string
	began    time.Time
	failed   bool
	ended    bool
}

func (s *tracedSpan) IsRecording() bool                    { return s.provider != nil }
func (s *tracedSpan) TracerProvider() trace.TracerProvider { return s.provider }
func (s *tracedSpan) SetStatus(c codes.Code, _ string)     { s.failed = c == codes.Error }
func (s *tracedSpan) End(...trace.SpanEndOption)           { s.ended = true }

// A spanRecorder is a tracer that keeps its spans.
type spanRecorder struct {
	embedded.TracerProvider
	spans []*tracedSpan
}

func (p *spanRecorder) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return recordingTracer{p: p}
}

type recordingTracer struct {
	embedded.Tracer
	p *spanRecorder
}

func (t recordingTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(opts...)
	s := &tracedSpan{provider: t.p, name: name, began: config.Timestamp()}
	t.p.spans = append(t.p.spans, s)
	return trace.ContextWithSpan(ctx, s), s
}

func TestTraceOfASignIn(t *testing.T) {
	began := time.Now().Add(-time.Second)
	for name, c := range map[string]struct {
		traced, waited bool
		err            error
		want           int
	}{
		"no trace":         {false, true, nil, 0},
		"there was one":    {true, false, nil, 0},
		"signed in":        {true, true, nil, 1},
		"sign-in failed":   {true, false, errors.New("refused"), 1},
		"failed, no trace": {false, false, errors.New("refused"), 0},
	} {
		recorder := new(spanRecorder)
		ctx := t.Context()
		if c.traced {
			ctx = trace.ContextWithSpan(ctx, &tracedSpan{provider: recorder})
		}
		traceSignIn(ctx, began, c.waited, c.err)
		if len(recorder.spans) != c.want {
			t.Errorf("%s: %d spans, want %d", name, len(recorder.spans), c.want)
			continue
		}
		for _, s := range recorder.spans {
			if s.name != "tableau sign-in" || !s.began.Equal(began) || !s.ended || s.failed != (c.err != nil) {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}
