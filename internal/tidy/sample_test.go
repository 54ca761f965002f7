package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
)

// parseTyped parses and type-checks one file that imports nothing.
func parseTyped(source string, info *types.Info) (*ast.File, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "sample.go", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	_, err = (&types.Config{}).Check("p", fset, []*ast.File{f}, info)
	return f, err
}
