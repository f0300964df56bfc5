package layering

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shape is a method that one concept looks for on the values of another without importing it. A method of that name
// with another signature would compile and silently not match.
type shape struct {
	method, signature string
	receivers         []string // directory.Type; nil means every type
}

var shapes = []shape{
	{method: "RetryAfter", signature: "func() time.Duration"},
	{method: "NotApplied", signature: "func() bool"},
	{method: "UnknownOutcome", signature: "func() bool"},
	{method: "LookupID", signature: "func(string) (string, bool)"},
	{method: "Once", signature: "func(context.Context, string, func(context.Context) error) error"},
	{
		method: "Do", signature: "func(context.Context, func(context.Context) error) error",
		receivers: []string{"breaker.Breaker", "retry.Policy"},
	},
}

// method is a method of a declared type or of any interface; in an interface it has no receiver.
type method struct {
	receiver, name string
	typ            *ast.FuncType
}

func methods(s source) []method {
	var found []method
	ast.Inspect(s.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil {
				receiver := s.dir + "." + receiverName(n.Recv.List[0].Type)
				found = append(found, method{receiver, n.Name.Name, n.Type})
			}
		case *ast.InterfaceType:
			for _, field := range n.Methods.List {
				if typ, ok := field.Type.(*ast.FuncType); ok {
					found = append(found, method{"", field.Names[0].Name, typ})
				}
			}
		}
		return true
	})
	return found
}

// receiverName strips the pointer and the type parameters from a receiver's type.
func receiverName(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return receiverName(expr.X)
	case *ast.ParenExpr:
		return receiverName(expr.X)
	case *ast.IndexExpr:
		return receiverName(expr.X)
	case *ast.IndexListExpr:
		return receiverName(expr.X)
	}
	return types.ExprString(expr)
}

// signature writes a function type without the names of its parameters.
func signature(typ *ast.FuncType) string {
	written := "func(" + strings.Join(fieldTypes(typ.Params), ", ") + ")"
	switch results := fieldTypes(typ.Results); len(results) {
	case 0:
		return written
	case 1:
		return written + " " + results[0]
	default:
		return written + " (" + strings.Join(results, ", ") + ")"
	}
}

func fieldTypes(fields *ast.FieldList) []string {
	if fields == nil {
		return nil
	}
	var written []string
	for _, field := range fields.List {
		name := types.ExprString(field.Type)
		if typ, ok := field.Type.(*ast.FuncType); ok {
			name = signature(typ)
		}
		for range max(1, len(field.Names)) {
			written = append(written, name)
		}
	}
	return written
}

func shapeViolations(sources []source) []string {
	var violations []string
	for _, s := range sources {
		if s.isTest() {
			continue // Tests may show what happens with a type of the wrong shape.
		}
		for _, m := range methods(s) {
			if want, ok := wantShape(m); ok && signature(m.typ) != want {
				violations = append(violations, fmt.Sprintf("%s: %s.%s is %s, want %s", s, m.receiver, m.name, signature(m.typ), want))
			}
		}
	}
	return violations
}

func wantShape(m method) (signature string, ok bool) {
	for _, shape := range shapes {
		if shape.method == m.name && (shape.receivers == nil || slices.Contains(shape.receivers, m.receiver)) {
			return shape.signature, true
		}
	}
	return "", false
}

func TestShapes(t *testing.T) {
	requireClean(t, shapeViolations(parseModule(t)))
}

func TestShapeViolations(t *testing.T) {
	for _, c := range []struct {
		name, code string
		ok         bool
	}{
		{"retry/a.go", "func (e *Error) RetryAfter() time.Duration { return 0 }", true},
		{"retry/a.go", "func (e *Error) RetryAfter() (d time.Duration) { return 0 }", true},
		{"retry/a.go", "func (e *Error) RetryAfter() int { return 0 }", false},
		{"retry/a.go", "func (e *Error) RetryAfter() (time.Duration, bool) { return 0, false }", false},
		{"retry/a_test.go", "func (e *Error) RetryAfter() int { return 0 }", true},
		{"retry/a.go", "func RetryAfter() int { return 0 }", true},
		{"rpcx/a.go", "func (e unexported) NotApplied() bool { return true }", true},
		{"rpcx/a.go", "func (e unexported) NotApplied() error { return nil }", false},
		{"lock/a.go", "func (e *outcome[T]) UnknownOutcome() bool { return true }", true},
		{"lock/a.go", "func (e *outcome[T]) UnknownOutcome(int) bool { return true }", false},
		{"ring/a.go", "func (r *Ring) LookupID(key string) (string, bool) { return key, true }", true},
		{"ring/a.go", "func (r *Ring) LookupID(a, b string) (string, bool) { return a, true }", false},
		{"rpcx/a.go", "func Balance(r interface { LookupID(key string) (id string, ok bool) }) {}", true},
		{"rpcx/a.go", "type Picker interface { LookupID(key []byte) (string, bool) }", false},
		{"pubsub/a.go", "type Inbox interface { Once(context.Context, string, func(ctx context.Context) error) error }", true},
		{"pubsub/a.go", "type Inbox interface { Once(context.Context, string, func() error) error }", false},
		{"retry/a.go", "func (p *Policy) Do(ctx context.Context, fn func(ctx context.Context) error) error { return nil }", true},
		{"retry/a.go", "func (p Policy) Do(ctx context.Context, fn func() error) error { return nil }", false},
		{"breaker/a.go", "func (b *Breaker) Do(fn func(context.Context) error) error { return nil }", false},
		{"lock/a.go", "func (l *Locker) Do(ctx context.Context, name string) error { return nil }", true},
		{"retry/x/a.go", "func (p Policy) Do() {}", true},
	} {
		violations := shapeViolations([]source{parse(t, "", c.name, "package p\n"+c.code)})
		require.Equal(t, c.ok, violations == nil, "%s: %s: %q", c.name, c.code, violations)
	}
}
