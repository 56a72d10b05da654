package caddymodule

// This file tells Caddy's log and events what happens to the audit file, from a
// goroutine of its own: a file must not wait for whoever reads about it.

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// maxNotices is how many notices may wait. Beyond that, checkpoints are left
// out: there will be more of them.
const maxNotices = 64

// A notifier passes notices on, in order.
type notifier struct {
	logger  atomic.Pointer[zap.Logger] // tableau.audit of the running configuration
	notices chan func(*zap.Logger)
	done    sync.WaitGroup
}

func newNotifier() *notifier {
	n := &notifier{notices: make(chan func(*zap.Logger), maxNotices)}
	n.done.Go(func() {
		for tell := range n.notices {
			if tell == nil {
				return
			}
			tell(n.current())
		}
	})
	return n
}

// current is the logger of the configuration that was started last or, if there
// was none, Caddy's own. Its writers open again when there is something to say
// after they were closed, as at the end of the process.
func (n *notifier) current() *zap.Logger {
	if logger := n.logger.Load(); logger != nil {
		return logger
	}
	return caddy.Log().Named("tableau.audit")
}

// end passes on what waits. What comes later, from a disk that was stuck, is
// left out.
func (n *notifier) end() {
	n.notices <- nil
	n.done.Wait()
}

func (n *notifier) tell(notice func(*zap.Logger)) {
	select {
	case n.notices <- notice:
	default:
	}
}

func (n *notifier) degraded(cause error) {
	n.tell(func(logger *zap.Logger) {
		logger.Error("audit degraded", zap.Error(cause))
		emit("tableau_audit_degraded", func() map[string]any { return map[string]any{"cause": cause.Error()} })
	})
}

func (n *notifier) recovered() {
	n.tell(func(logger *zap.Logger) {
		logger.Info("audit recovered")
		emit("tableau_audit_recovered", func() map[string]any { return map[string]any{} })
	})
}

// checkpointed writes the checkpoint to the log: kept on another machine, it
// shows whether the end of the file was cut off.
func (n *notifier) checkpointed(c auditlog.Checkpoint) {
	n.tell(func(logger *zap.Logger) {
		logger.Info("audit checkpoint", zap.Int64("size", c.Size), zap.String("root", c.Root.String()), zap.String("note", c.Note))
	})
}
