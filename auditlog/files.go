package auditlog

// This file holds the names of the files of a log.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seqDigits is how many digits the number in a rotated file's name has at least.
const seqDigits = 12

// PublicKeyFile is the file beside a log in which [Open] writes its public key.
func PublicKeyFile(path string) string { return path + ".pub" }

func lockName(path string) string    { return path + ".lock" }
func reserveName(path string) string { return path + ".reserve" }

// rotatedName is the name that a file gets when the next one is begun: the
// number of its first record, so that the order of names is that of records. A
// name that is taken is never used again.
func rotatedName(path string, first int64) (string, error) {
	name := fmt.Sprintf("%s.%0*d", path, seqDigits, first)
	return freeName(name)
}

// asideName is the name for a file that stands in the way of the log.
func asideName(path string, at time.Time) (string, error) {
	return freeName(path + ".replaced-" + at.UTC().Format("20060102T150405.000000000Z"))
}

func freeName(name string) (string, error) {
	free := name
	for n := 2; ; n++ {
		_, err := os.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
		if err != nil {
			return "", err
		}
		free = name + "-" + strconv.Itoa(n)
	}
}

// Files lists the files of a log in the order of their records: those that were
// rotated away, and the one at path. It is an error if there is none.
func Files(path string) ([]string, error) {
	files, err := rotatedFiles(path)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(path)
	switch {
	case err == nil:
		return append(files, path), nil
	case errors.Is(err, fs.ErrNotExist) && len(files) > 0:
		return files, nil
	default:
		return nil, fmt.Errorf("no audit log: %w", err)
	}
}

func rotatedFiles(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the files of the log: %w", err)
	}
	type rotated struct {
		name     string
		first, n int64
	}
	var found []rotated
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), base+".")
		if !ok {
			continue
		}
		if first, n, ok := parseRotated(rest); ok {
			found = append(found, rotated{filepath.Join(dir, entry.Name()), first, n})
		}
	}
	slices.SortFunc(found, func(a, b rotated) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.n, b.n))
	})
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return names, nil
}

// parseRotated reads the end of a rotated file's name.
func parseRotated(suffix string) (first, n int64, ok bool) {
	digits, again, hasAgain := strings.Cut(suffix, "-")
	first, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) < seqDigits || first < 0 {
		return 0, 0, false
	}
	if hasAgain {
		n, err = strconv.ParseInt(again, 10, 64)
	}
	return first, n, err == nil
}
