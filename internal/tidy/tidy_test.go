package tidy

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

const (
	modulePath       = "verbatim"
	functionLinesMax = 70
)

// confined lists imports that may appear only below the named packages.
var confined = map[string][]string{
	"github.com/gin-gonic/gin":      {"api"},
	"github.com/tetratelabs/wazero": {"wasmhost"},
	"github.com/ebitengine/purego":  {"kernels/cuda"},
	"unsafe":                        {"kernels/cpu", "kernels/cuda", "models/gguf", "examples/storyteller"},
	"C":                             {},
	"github.com/spf13/cobra":        {"cmd"},
	"github.com/klauspost/compress": {"cu", "examples/storyteller", "models", "internal/localnet", "bench", "cmd"},
	"github.com/prometheus":         {"api", "cmd"},
	"go.etcd.io/bbolt":              {"cu/index"},
	"golang.org/x/tools":            {"internal/tidy"},
	"github.com/mmcloughlin/avo":    {},
	"verbatim/bench":                {"bench", "cmd"},
}

// deterministic packages may use no clock, environment, chance, goroutine, select, map order or library transcendental.
var deterministic = []string{
	"kernels/canon", "kernels/quant", "kernels/ref", "models/tokenizer", "models/jinja", "inference/sampler", "inference/transcript",
	"inference", "wasmhost", "cu/ao", "cu/dataitem", "cu/eval", "cu/receipt",
}

// bannedCalls are functions a deterministic package may not mention, by package path.
var bannedCalls = map[string]*regexp.Regexp{
	"time":         regexp.MustCompile(`^(Now|Since|Until|After|Tick|Sleep|NewTimer|NewTicker)$`),
	"os":           regexp.MustCompile(`^(Getenv|LookupEnv|Environ|Hostname|Getpid)$`),
	"math":         regexp.MustCompile(`^(Exp|Exp2|Expm1|Log|Log2|Log10|Log1p|Pow|Sin|Cos|Sincos|Tan|Tanh|Sinh|Cosh|Cbrt|Atan|Gamma|Erf)$`),
	"math/rand":    regexp.MustCompile(`.`),
	"math/rand/v2": regexp.MustCompile(`^(Int.*|Uint.*|Float.*|Perm|Shuffle|N|ExpFloat64|NormFloat64)$`),
	"runtime":      regexp.MustCompile(`^(NumCPU|GOMAXPROCS|NumGoroutine)$`),
}

// exemptFiles of deterministic packages do the impure part of their package, and say so.
var exemptFiles = map[string]string{
	"cu/receipt/log.go":  "the append-only file",
	"cu/receipt/file.go": "the append-only file",

	"cu/receipt/append.go": "writes that wait are written together",
}

// longFunctions are flat tables or opcode switches that read better whole.
var longFunctions = map[string]bool{}

var load = sync.OnceValues(func() ([]*packages.Package, error) {
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo |
			packages.NeedImports | packages.NeedDeps | packages.NeedExportFile,
		Dir: root(),
	}
	return packages.Load(cfg, "./...")
})

func root() string { return filepath.Join("..", "..") }

func allPackages(t *testing.T) []*packages.Package {
	t.Helper()
	pkgs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			t.Fatalf("%s: %v", p.PkgPath, e)
		}
	}
	return pkgs
}

// local turns a package path into its folder, "" for the module's root or a foreign package.
func local(path string) string {
	if rest, ok := strings.CutPrefix(path, modulePath+"/"); ok {
		return rest
	}
	return ""
}

func within(folder string, roots []string) bool {
	for _, r := range roots {
		if folder == r || strings.HasPrefix(folder, r+"/") {
			return true
		}
	}
	return false
}

// importTable reads the rows "| `package` | purpose | may import |" of docs/ARCHITECTURE.md.
func importTable(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root(), "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := regexp.MustCompile("^\\| `([a-z0-9/-]+)` \\| .* \\| ([^|]*) \\|$")
	table := map[string][]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		allowed := []string{}
		for _, name := range strings.Split(m[2], ",") {
			if name = strings.Trim(strings.TrimSpace(name), "`"); name != "" && name != "-" {
				allowed = append(allowed, name)
			}
		}
		table[m[1]] = allowed
	}
	if len(table) < 20 {
		t.Fatalf("docs/ARCHITECTURE.md: import table has %d rows, at least 20 expected", len(table))
	}
	return table
}

func TestImportTable(t *testing.T) {
	table := importTable(t)
	seen := map[string]bool{}
	for _, p := range allPackages(t) {
		folder := local(p.PkgPath)
		if folder == "" {
			continue
		}
		seen[folder] = true
		allowed, ok := table[folder]
		if !ok {
			t.Errorf("package %s is not in the import table of docs/ARCHITECTURE.md", folder)
			continue
		}
		for path := range p.Imports {
			if target := local(path); target != "" && !mayImport(target, allowed) {
				t.Errorf("%s imports %s; the table of docs/ARCHITECTURE.md allows %s", folder, target, strings.Join(allowed, ", "))
			}
		}
	}
	for folder := range table {
		if _, err := os.Stat(filepath.Join(root(), folder)); err != nil {
			t.Errorf("docs/ARCHITECTURE.md lists %s, which does not exist", folder)
		}
	}
}

func mayImport(target string, allowed []string) bool {
	for _, a := range allowed {
		if a == "anything" || a == target {
			return true
		}
	}
	return false
}

func TestConfinement(t *testing.T) {
	for _, p := range allPackages(t) {
		folder := local(p.PkgPath)
		for path := range p.Imports {
			for library, homes := range confined {
				if path != library && !strings.HasPrefix(path, library+"/") {
					continue
				}
				if !within(folder, homes) {
					t.Errorf("%s imports %s, which is confined to %v", folder, path, homes)
				}
			}
		}
	}
}

// The auditor's binary must stay small enough to read: no server, no daemon, no GPU.
func TestAuditorReach(t *testing.T) {
	banned := []string{"api", "kernels/cuda", "cu", "internal/localnet"}
	for _, p := range allPackages(t) {
		if local(p.PkgPath) != "cmd/verbatim-verify" {
			continue
		}
		packages.Visit([]*packages.Package{p}, nil, func(dep *packages.Package) {
			for _, b := range banned {
				if local(dep.PkgPath) == b {
					t.Errorf("cmd/verbatim-verify reaches %s", b)
				}
			}
			if strings.HasPrefix(dep.PkgPath, "github.com/gin-gonic/") {
				t.Errorf("cmd/verbatim-verify reaches %s", dep.PkgPath)
			}
		})
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range allPackages(t) {
		has := false
		for _, f := range p.Syntax {
			has = has || f.Doc != nil
		}
		if !has && len(p.Syntax) > 0 {
			t.Errorf("package %s has no package comment", p.PkgPath)
		}
	}
}

func TestFunctionLength(t *testing.T) {
	eachFile(t, func(p *packages.Package, f *ast.File, name string) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			lines := p.Fset.Position(fn.End()).Line - p.Fset.Position(fn.Pos()).Line + 1
			if key := local(p.PkgPath) + "." + fn.Name.Name; lines > functionLinesMax && !longFunctions[key] {
				t.Errorf("%s: %s has %d lines, at most %d", name, fn.Name.Name, lines, functionLinesMax)
			}
		}
	})
}

func TestDeterminism(t *testing.T) {
	eachFile(t, func(p *packages.Package, f *ast.File, name string) {
		if !within(local(p.PkgPath), deterministic) || exemptFiles[name] != "" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if what := nondeterminism(p.TypesInfo, n); what != "" {
				t.Errorf("%s: %s in a deterministic package", p.Fset.Position(n.Pos()), what)
			}
			return true
		})
	})
}

func nondeterminism(info *types.Info, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "go statement"
	case *ast.SelectStmt:
		return "select statement"
	case *ast.RangeStmt:
		if tv, ok := info.Types[n.X]; ok {
			if _, isMap := tv.Type.Underlying().(*types.Map); isMap {
				return "range over a map"
			}
		}
	case *ast.SelectorExpr:
		if obj, ok := info.Uses[n.Sel].(*types.Func); ok && obj.Pkg() != nil && obj.Signature().Recv() == nil {
			if re := bannedCalls[obj.Pkg().Path()]; re != nil && re.MatchString(obj.Name()) {
				return obj.Pkg().Path() + "." + obj.Name()
			}
		}
	}
	return ""
}

// Go fuses a*b + c into one rounding on arm64 and on amd64 with GOAMD64=v3; float32(a*b) + c never fuses.
func TestFloatProductsAreRounded(t *testing.T) {
	canonical := append([]string{"kernels"}, deterministic...)
	eachFile(t, func(p *packages.Package, f *ast.File, name string) {
		if !within(local(p.PkgPath), canonical) {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if bareProduct(p.TypesInfo, n) {
				t.Errorf("%s: float product inside a sum is not rounded: write float32(a*b) + c", p.Fset.Position(n.Pos()))
			}
			return true
		})
	})
}

func bareProduct(info *types.Info, n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.ADD || n.Op == token.SUB {
			return isFloatProduct(info, n.X) || isFloatProduct(info, n.Y)
		}
	case *ast.AssignStmt:
		if n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN {
			return isFloatProduct(info, n.Rhs[0])
		}
	}
	return false
}

func isFloatProduct(info *types.Info, e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return isFloatProduct(info, x.X)
	case *ast.UnaryExpr:
		return isFloatProduct(info, x.X)
	case *ast.BinaryExpr:
		tv := info.Types[e]
		b, ok := tv.Type.Underlying().(*types.Basic)
		return ok && x.Op == token.MUL && tv.Value == nil && b.Info()&types.IsFloat != 0
	}
	return false
}

// The work is done or it is an issue: no marks of unfinished work in the tree.
func TestNoLooseEnds(t *testing.T) {
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	banned := regexp.MustCompile(`(^|/)(util|utils|common|helpers|misc)$`)
	for _, p := range allPackages(t) {
		if banned.MatchString(p.PkgPath) {
			t.Errorf("package %s: name it after what it is for", p.PkgPath)
		}
	}
	eachFile(t, func(p *packages.Package, f *ast.File, name string) {
		for _, group := range f.Comments {
			if m := mark.FindString(group.Text()); m != "" {
				t.Errorf("%s: %s", p.Fset.Position(group.Pos()), m)
			}
		}
	})
}

// eachFile visits every non-generated Go file of the module; name is its path from the root.
func eachFile(t *testing.T, visit func(p *packages.Package, f *ast.File, name string)) {
	t.Helper()
	base, err := filepath.Abs(root())
	if err != nil {
		t.Fatal(err)
	}
	pkgs := allPackages(t)
	sort.Slice(pkgs, func(i, j int) bool { return pkgs[i].PkgPath < pkgs[j].PkgPath })
	for _, p := range pkgs {
		for _, f := range p.Syntax {
			name, err := filepath.Rel(base, p.Fset.Position(f.Pos()).Filename)
			if err != nil || strings.HasPrefix(name, "..") || ast.IsGenerated(f) {
				continue
			}
			visit(p, f, filepath.ToSlash(name))
		}
	}
}

// The rules must be able to fail: each is shown a line that breaks it.
func TestRulesCanFail(t *testing.T) {
	for name, broken := range map[string]bool{
		"bare product": isProductSample(t, "x*y + z"), "wrapped product": !isProductSample(t, "float32(x*y) + z"),
		"minus": isProductSample(t, "z - (x*y)"), "integers": !isProductSample(t, "int(x)*2 + 3"),
	} {
		if !broken {
			t.Errorf("rule %q does not tell right from wrong", name)
		}
	}
}

func isProductSample(t *testing.T, expr string) bool {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	e, err := parseTyped(fmt.Sprintf("package p\nfunc f(x, y, z float32) any { return %s }", expr), info)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	ast.Inspect(e, func(n ast.Node) bool { found = found || (n != nil && bareProduct(info, n)); return true })
	return found
}
