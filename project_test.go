// The tests of this file hold together what has to be written in more than one
// place: xcaddy.json, go.mod, the imports of cmd/caddy, the build tags, and the
// xcaddy line of the README. Change one of them alone, and a test is red.

package caddytableau_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	caddyPath    = "github.com/caddyserver/caddy/v2"
	standardPath = caddyPath + "/modules/standard"
)

// xcaddyBuilder is the part that xcaddy.json uses of xcaddy's Builder type, which
// is what the file is: https://pkg.go.dev/github.com/caddyserver/xcaddy#Builder
type xcaddyBuilder struct {
	CaddyVersion string             `json:"caddy_version,omitempty"`
	Plugins      []xcaddyDependency `json:"plugins,omitempty"`
	BuildFlags   string             `json:"build_flags,omitempty"`
}

// xcaddyDependency is xcaddy's Dependency type.
type xcaddyDependency struct {
	ModulePath string `json:"module_path,omitempty"`
	Version    string `json:"version,omitempty"`
}

func (b xcaddyBuilder) pluginPaths() []string {
	var paths []string
	for _, p := range b.Plugins {
		paths = append(paths, p.ModulePath)
	}
	slices.Sort(paths)
	return paths
}

// goMod is the part of go.mod that counts here, as `go mod edit -json` prints it.
type goMod struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
}

// version is the required version of a module, or "".
func (m goMod) version(path string) string {
	for _, r := range m.Require {
		if r.Path == path {
			return r.Version
		}
	}
	return ""
}

// moduleOf is the module that a package of this build belongs to.
func (m goMod) moduleOf(pkg string) string {
	paths := []string{m.Module.Path}
	for _, r := range m.Require {
		paths = append(paths, r.Path)
	}
	var found string
	for _, path := range paths {
		if (pkg == path || strings.HasPrefix(pkg, path+"/")) && len(path) > len(found) {
			found = path
		}
	}
	return found
}

func TestCaddyVersionIsTheRequiredOne(t *testing.T) {
	want := readGoMod(t).version(caddyPath)
	if got := readBuilder(t).CaddyVersion; got != want {
		t.Errorf("xcaddy.json: caddy_version = %q, go.mod requires %q", got, want)
	}
}

func TestPluginsAreThoseOfTheCommand(t *testing.T) {
	mod := readGoMod(t)
	var linked []string
	for _, pkg := range blankImports(t, filepath.Join("cmd", "caddy")) {
		if pkg != standardPath {
			linked = append(linked, mod.moduleOf(pkg))
		}
	}
	slices.Sort(linked)
	if diff := cmp.Diff(linked, readBuilder(t).pluginPaths()); diff != "" {
		t.Errorf("plug-ins (-blank imports of cmd/caddy +xcaddy.json):\n%s", diff)
	}
}

func TestCommandHasTheStandardModules(t *testing.T) {
	if imports := blankImports(t, filepath.Join("cmd", "caddy")); !slices.Contains(imports, standardPath) {
		t.Errorf("blank imports of cmd/caddy = %q, want %s among them", imports, standardPath)
	}
}

// xcaddy imports the path that it is given, which is the module's.
func TestRootPlugsInTheModules(t *testing.T) {
	want := []string{readGoMod(t).Module.Path + "/caddymodule"}
	if diff := cmp.Diff(want, blankImports(t, ".")); diff != "" {
		t.Errorf("blank imports of the root package (-want +got):\n%s", diff)
	}
}

func TestPluginVersionsAreReleases(t *testing.T) {
	release := regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	for _, p := range readBuilder(t).Plugins {
		if !release.MatchString(p.Version) {
			t.Errorf("xcaddy.json: version of %s = %q, want one such as v1.2.3", p.ModulePath, p.Version)
		}
	}
}

// Each place that names build tags names the same ones, those of the Makefile.
func TestBuildTagsAgree(t *testing.T) {
	want := makeVariable(t, "TAGS")

	var lint struct {
		Run struct {
			BuildTags []string `yaml:"build-tags"`
		}
	}
	readYAML(t, ".golangci.yml", &lint)
	if got := strings.Join(lint.Run.BuildTags, ","); got != want {
		t.Errorf(".golangci.yml: build-tags = %q, the Makefile has %q", got, want)
	}
	if tags := namedTags(readBuilder(t).BuildFlags); !slices.Equal(tags, []string{want}) {
		t.Errorf("xcaddy.json: tags of build_flags = %q, the Makefile has %q", tags, want)
	}
	files := append(glob(t, ".github/workflows/*.yml"), "README.md", "CONTRIBUTING.md", ".ci/release")
	for _, file := range files {
		for _, got := range namedTags(readFile(t, file)) {
			if got != want {
				t.Errorf("%s: -tags %s, the Makefile has %s", file, got, want)
			}
		}
	}
}

// What is released is built by the Makefile, so that its flags are those of xcaddy.json.
func TestReleaseIsBuiltByMake(t *testing.T) {
	if !strings.Contains(readFile(t, ".ci/release"), "make --no-print-directory build ") {
		t.Error(".ci/release does not build with make build")
	}
	if !strings.Contains(readFile(t, ".github/workflows/release.yml"), "bash .ci/release ") {
		t.Error(".github/workflows/release.yml does not call .ci/release")
	}
}

func TestBuildFlagsAgree(t *testing.T) {
	want := "-trimpath -ldflags '" + makeVariable(t, "LDFLAGS") + "' -tags " + makeVariable(t, "TAGS")
	if got := readBuilder(t).BuildFlags; got != want {
		t.Errorf("xcaddy.json: build_flags = %q, the Makefile has %q", got, want)
	}
	if !strings.Contains(readFile(t, "Makefile"), "build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)'") {
		t.Error("Makefile: build does not use -trimpath, TAGS and LDFLAGS")
	}
}

// A line of the README that begins with "xcaddy build" is what people copy.
func TestReadmeXcaddyLines(t *testing.T) {
	builder := readBuilder(t)
	readme := strings.ReplaceAll(readFile(t, "README.md"), "\\\n", " ")
	lines := regexp.MustCompile(`(?m)^\s*(?:\$ )?xcaddy build\b.*$`).FindAllString(readme, -1)
	if len(lines) == 0 {
		t.Fatal("README.md has no line that begins with: xcaddy build")
	}
	for _, line := range lines {
		version, plugins := parseXcaddy(line)
		if version != "" && version != builder.CaddyVersion {
			t.Errorf("README.md: %s: Caddy %s, xcaddy.json has %s", line, version, builder.CaddyVersion)
		}
		if diff := cmp.Diff(builder.pluginPaths(), plugins); diff != "" {
			t.Errorf("README.md: %s (-xcaddy.json +README.md):\n%s", line, diff)
		}
	}
}

// parseXcaddy takes apart "xcaddy build [version] --with module[@version][=path]...".
func parseXcaddy(line string) (version string, plugins []string) {
	_, rest, _ := strings.Cut(line, "xcaddy build")
	args := strings.Fields(rest)
	for i, arg := range args {
		switch {
		case i == 0 && strings.HasPrefix(arg, "v"):
			version = arg
		case arg == "--with" && i+1 < len(args):
			path, _, _ := strings.Cut(args[i+1], "=")
			path, _, _ = strings.Cut(path, "@")
			plugins = append(plugins, path)
		}
	}
	slices.Sort(plugins)
	return version, plugins
}

// namedTags is every list of build tags written out in a text.
func namedTags(text string) []string {
	var tags []string
	for _, match := range regexp.MustCompile(`-tags[= ]'?"?([a-z][a-z0-9_,]*)`).FindAllStringSubmatch(text, -1) {
		tags = append(tags, match[1])
	}
	return tags
}

// makeVariable is the value that the Makefile gives a variable.
func makeVariable(t *testing.T, name string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^` + name + `\s*:=\s*(.+)$`).FindStringSubmatch(readFile(t, "Makefile"))
	if match == nil {
		t.Fatalf("Makefile: no variable %s", name)
	}
	return match[1]
}

func readBuilder(t *testing.T) xcaddyBuilder {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(readFile(t, "xcaddy.json")))
	decoder.DisallowUnknownFields()
	var builder xcaddyBuilder
	if err := decoder.Decode(&builder); err != nil {
		t.Fatalf("xcaddy.json: %v", err)
	}
	return builder
}

func readGoMod(t *testing.T) goMod {
	t.Helper()
	var mod goMod
	if err := json.Unmarshal(runGo(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	return mod
}
