package caddymodule

// This file keeps a file of users, and reads it again when it changes.

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// userFileCheck is how often, at most, the file is looked at for changes.
	userFileCheck = time.Second

	// maxUserFile bounds the file, in bytes: about half a million users.
	maxUserFile = 64 << 20
)

// A userFile is a user_map_file. A version of it that cannot be read leaves
// the last good one in use, and is reported.
type userFile struct {
	path   string
	check  func(name string, users map[string]string) error
	logger *zap.Logger

	users  atomic.Pointer[map[string]string]
	next   atomic.Int64 // Unix nanoseconds of the next look
	mu     sync.Mutex   // held while looking
	loaded fileState
}

// fileState is how a changed file is told from the one that was read.
type fileState struct {
	modified time.Time
	size     int64
}

// openUserFile reads the file for the first time.
func openUserFile(path string, check func(string, map[string]string) error, logger *zap.Logger) (*userFile, error) {
	f := &userFile{path: path, check: check, logger: logger}
	if err := f.load(); err != nil {
		return nil, err
	}
	f.next.Store(time.Now().Add(userFileCheck).UnixNano())
	return f, nil
}

// lookup returns the Tableau user of identity.
func (f *userFile) lookup(identity string) (user string, ok bool) {
	if now := time.Now(); now.UnixNano() >= f.next.Load() && f.mu.TryLock() {
		f.refresh(now)
		f.mu.Unlock()
	}
	user, ok = (*f.users.Load())[identity]
	return user, ok
}

// refresh reads the file if it has changed. The lock is held.
func (f *userFile) refresh(now time.Time) {
	f.next.Store(now.Add(userFileCheck).UnixNano())
	state, err := f.state()
	if err == nil && state == f.loaded {
		return
	}
	if err == nil {
		err = f.load()
	}
	if err != nil {
		f.logger.Error("user_map_file was not read again, the users read before stay in force", zap.Error(err))
		return
	}
	f.logger.Info("user_map_file has changed and was read", zap.String("file", f.path), zap.Int("users", len(*f.users.Load())))
}

func (f *userFile) state() (fileState, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return fileState{}, fmt.Errorf("user_map_file: %w", err)
	}
	return fileState{info.ModTime(), info.Size()}, nil
}

// load reads and checks the whole file.
func (f *userFile) load() error {
	state, err := f.state()
	if err != nil {
		return err
	}
	if state.size > maxUserFile {
		return fmt.Errorf("user_map_file: %s has more than %d MiB", f.path, maxUserFile>>20)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("user_map_file: %w", err)
	}
	users, err := parseUsers(content)
	if err != nil {
		return fmt.Errorf("user_map_file: %s: %w", f.path, err)
	}
	if err := f.check("user_map_file", users); err != nil {
		return err
	}
	f.loaded = state
	f.users.Store(&users)
	return nil
}

// parseUsers reads lines of "identity tableau_user".
func parseUsers(content []byte) (map[string]string, error) {
	users := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d has %d words: it takes an identity and a Tableau user", n, len(fields))
		}
		if _, twice := users[fields[0]]; twice {
			return nil, fmt.Errorf("line %d: %q is there twice", n, fields[0])
		}
		users[fields[0]] = fields[1]
	}
	return users, lines.Err()
}
