package caddymodule

// This file makes the time that a request waits for a sign-in a span of its
// trace, where Caddy's tracing directive has begun one.

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// traceSignIn adds a span for the wait for a sign-in that began at a time and
// has just ended. The sign-in itself is shared by all who wait for it, and
// belongs to no trace.
func traceSignIn(ctx context.Context, began time.Time, waited bool, err error) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() || !waited && err == nil {
		return
	}
	tracer := parent.TracerProvider().Tracer(modulePath)
	_, span := tracer.Start(ctx, "tableau sign-in", trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindClient))
	if err != nil {
		span.SetStatus(codes.Error, "the sign-in failed") // why is in the log, under the id of the trace
	}
	span.End()
}
