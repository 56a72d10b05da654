// Package auditlog keeps a log that shows whether it was altered. A log is a
// file of JSON lines that is only appended to. Each record is durable before its
// caller goes on; each line is a leaf of a Merkle tree (RFC 6962), and now and
// then the log writes a checkpoint: the root of that tree, signed with an
// Ed25519 key. Who has the public key can verify the file with [Verify], and
// who has a checkpoint can tell whether the end of the file is missing.
//
// # Writing
//
//	key, err := auditlog.GenerateKey("proxy1.corp.example/audit") // once; keep key.MarshalPEM()
//	...
//	log, err := auditlog.Open("/var/log/proxy/audit.log", auditlog.Options{Key: key})
//	...
//	defer log.Close(context.Background())
//	err = log.Append(ctx, "egress.intent", slog.String("user", "alice"), slog.String("path", path))
//	if err != nil {
//		// There is no record of it: do not do it.
//	}
//	err = log.AppendAsync("egress.outcome", slog.Int("status", status))
//
// All records that arrive while the disk is busy become durable with its next
// write, so that many callers cost not much more than one. What happens if the
// disk is full, stuck, or gone is decided by the [Mode]; a disk that does not
// answer within Options.Limit is a disk that has failed. The log comes back by
// itself, and records what it could not take.
//
// An error of Append means that the record may not be there. If the disk was
// stuck it may still turn up, so record an intent before an action, and its
// outcome after.
//
// # What a record looks like
//
//	{"seq":2,"ts":"2026-11-23T14:44:07.123456789Z","prev":"rhB1…","event":"egress.intent","user":"alice","path":"/api"}
//
// One record is one line, whatever the fields hold: every string is cleaned as
// [Clean] does it, and cut to a length. The log writes seq, which has no gaps;
// ts, in UTC; and prev, the hash of the line before. Records whose event begins
// with "audit." are its own, see [EventFile] and the others.
//
// # What is proved, and what is not
//
// A checkpoint at record n covers all records before n. Verify finds every
// alteration of them, and names the record as far as it can be told: also if
// somebody has changed all hashes to fit, because only the key can sign the
// root. Three things cannot be told from the file alone:
//
//   - that its end is missing, together with the checkpoints in it. Keep a
//     checkpoint elsewhere (Options.Checkpointed) and give it to Verify;
//   - that records after the last checkpoint were written by somebody else.
//     They begin at Report.Signed, and are covered after
//     Options.CheckpointInterval at the latest;
//   - that somebody with the signing key has written another log. A checkpoint
//     that is kept elsewhere tells that, too.
//
// # Files
//
// Beside the log stand the public key (".pub"), older files (the log's name and
// the number of their first record), a lock (".lock"), and a reserve
// (".reserve") that is given up when the disk is full, so that the log can say
// so. A new file begins with the checkpoint at the end of the one before, so
// that a file that is missing is noticed, and those that are left verify
// without it. A log may be moved away, as logrotate does: the next record goes
// to a new file that continues it. Deleting old files is left to the operator.
package auditlog
