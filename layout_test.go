// The tests of this file keep the layout: which package may import which, and what
// may be nowhere in the tree.

package caddytableau_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors says which packages of this module a package may import, each with
// everything below it. The order is the way up: an import never goes up.
var floors = []struct {
	pkg     string
	imports []string
}{
	{"tableauapi", nil},
	{"auditlog", nil},
	{"tableauauth/tableautest", nil},
	{"tableauauth", []string{"tableauapi"}},
	{"caddymodule", []string{"tableauapi", "auditlog", "tableauauth", "tableauauth/tableautest"}},
	{".", []string{"caddymodule"}},
	{"cmd/caddy", []string{"caddymodule"}},
	{"e2e", []string{"tableauapi", "auditlog", "tableauauth", "tableauauth/tableautest"}},
	{".ci", nil},
}

// goPackage is a package as `go list -json` prints it.
type goPackage struct {
	ImportPath   string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsNeverGoUp(t *testing.T) {
	module := readGoMod(t).Module.Path
	for _, pkg := range listPackages(t) {
		own := relative(module, pkg.ImportPath)
		floor, allowed := floorOf(own)
		if floor == "" {
			t.Errorf("package %s has no floor: give it one in the list of this test", own)
			continue
		}
		for _, imported := range pkg.Imports {
			if other := relative(module, imported); other != "" && !mayImport(floor, allowed, other) {
				t.Errorf("%s imports %s, which is not below it", own, other)
			}
		}
		// A test may use the simulator, whatever floor it is on.
		for _, imported := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
			other := relative(module, imported)
			if other != "" && other != "tableauauth/tableautest" && !mayImport(floor, allowed, other) {
				t.Errorf("a test of %s imports %s, which is not below it", own, other)
			}
		}
	}
}

func TestOnlyTheAdapterImportsCaddy(t *testing.T) {
	module := readGoMod(t).Module.Path
	for _, pkg := range listPackages(t) {
		own := relative(module, pkg.ImportPath)
		if within(own, "caddymodule") || within(own, "cmd") {
			continue
		}
		for _, imported := range slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports) {
			if strings.HasPrefix(imported, "github.com/caddyserver/") {
				t.Errorf("%s imports %s: only caddymodule and cmd import Caddy", own, imported)
			}
		}
	}
}

// What uses the library must not get Caddy, Prometheus or zap with it.
func TestLibraryDependencies(t *testing.T) {
	banned := []string{"github.com/caddyserver/", "github.com/prometheus/", "go.uber.org/zap"}
	for dep := range strings.FieldsSeq(string(runGo(t, "list", "-deps", "./tableauauth"))) {
		for _, prefix := range banned {
			if strings.HasPrefix(dep, prefix) {
				t.Errorf("tableauauth depends on %s", dep)
			}
		}
	}
}

// A name that says nothing about what is inside collects what belongs elsewhere.
func TestPackageNamesSaySomething(t *testing.T) {
	for _, pkg := range listPackages(t) {
		for _, name := range []string{pkg.Name, path.Base(pkg.ImportPath)} {
			if slices.Contains([]string{"utils", "util", "common", "helpers", "helper", "misc"}, name) {
				t.Errorf("%s: a package must be named for what it holds", pkg.ImportPath)
			}
		}
	}
}

// Directories of the machine that something was written on mean nothing to anybody else.
func TestNoPathsOfOneMachine(t *testing.T) {
	// In two parts, so that this file does not hold them.
	banned := []string{"/wo" + "rk/", "/ro" + "ot/", "/tmp/te" + "am"}
	for _, name := range textFiles(t) {
		data := readFile(t, name)
		for _, dir := range banned {
			if strings.Contains(data, dir) {
				t.Errorf("%s speaks of %s", name, dir)
			}
		}
	}
}

// floorOf is the longest entry of floors that holds pkg, and what it may import.
func floorOf(pkg string) (floor string, imports []string) {
	for _, f := range floors {
		if within(pkg, f.pkg) && len(f.pkg) > len(floor) {
			floor, imports = f.pkg, f.imports
		}
	}
	return floor, imports
}

// mayImport tells whether a package on a floor may import another of this module:
// one of its own floor, or one that the floor lists.
func mayImport(floor string, allowed []string, other string) bool {
	otherFloor, _ := floorOf(other)
	return otherFloor == floor || slices.Contains(allowed, otherFloor)
}

// within tells whether pkg is dir or below it. Below "." is only the root itself.
func within(pkg, dir string) bool {
	return pkg == dir || strings.HasPrefix(pkg, dir+"/")
}

// relative is the path of a package inside the module, "." for its root, and "" for
// a package of another module.
func relative(module, pkg string) string {
	if pkg == module {
		return "."
	}
	rest, ok := strings.CutPrefix(pkg, module+"/")
	if !ok {
		return ""
	}
	return rest
}

// listPackages is every package of the module. A package that does not compile is
// listed all the same: its imports can be read.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(runGo(t, "list", "-e", "-json", "./...", "./.ci/testreport")))
	var packages []goPackage
	for {
		var pkg goPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, pkg)
	}
}

// textFiles is every text file of the tree that is not built or installed.
func textFiles(t *testing.T) []string {
	t.Helper()
	ignored := []string{".git", ".cache", "bin", "dist"}
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(ignored, name) {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err == nil && !bytes.ContainsRune(data, 0) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
