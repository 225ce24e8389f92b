package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// patterns are the paths that the panel answers a GET for, as its code has them:
// {"GET /path", access, handler}, where constants and the base of a function that makes
// pages at several places may stand in the path.
func patterns(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../internal/panel/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var trees []*ast.File
	for _, name := range append(files, "../internal/auth/token.go", "../internal/unsubscribe/link.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	words, bases := map[string]string{}, map[string][]string{}
	for _, tree := range trees {
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, v := range n.Values {
					if text, ok := textOf(v, nil); ok {
						words[n.Names[i].Name] = text
					}
				}
			case *ast.CallExpr:
				if len(n.Args) > 0 {
					if text, ok := textOf(n.Args[0], nil); ok {
						bases[nameOf(n.Fun)] = append(bases[nameOf(n.Fun)], text)
					}
				}
			}
			return true
		})
	}
	var list []string
	for _, tree := range trees {
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			at := []string{""}
			if slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool { return len(p.Names) > 0 && p.Names[0].Name == "base" }) {
				at = bases[f.Name.Name]
			}
			for _, words["base"] = range at {
				ast.Inspect(f, func(n ast.Node) bool {
					if c, ok := n.(*ast.CompositeLit); ok && c.Type == nil && len(c.Elts) == 3 {
						if text, ok := textOf(c.Elts[0], words); ok && strings.HasPrefix(text, "GET ") {
							list = append(list, strings.TrimPrefix(text, "GET "))
						}
					}
					return true
				})
			}
		}
	}
	return list
}

// textOf is the text that an expression makes out of literals and known words.
func textOf(e ast.Expr, words map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		before, ok1 := textOf(e.X, words)
		after, ok2 := textOf(e.Y, words)
		return before + after, ok1 && ok2
	case *ast.Ident, *ast.SelectorExpr:
		text, ok := words[nameOf(e)]
		return text, ok
	}
	return "", false
}

// nameOf is the name of what is called or meant, without where it comes from.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
