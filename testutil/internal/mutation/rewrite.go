// Package mutation asks what the tests would not notice. It makes thousands of small faults
// (mutants) in the code, all in one build, of which an environment variable turns
// one on; so each test binary is compiled once, and then run for each fault.
package mutation

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// Mutant is one fault that the build can have.
type Mutant struct {
	ID       int
	Package  string // "rotator"
	File     string // "rotator/steps.go"
	Line     int
	Func     string // "(*invocation).create"
	Operator string // what was done: "condition is true"
	Code     string // to what, on one line
}

// Key names a mutant without its line, so that code which moves keeps it. Two of a
// function may share one.
func (m Mutant) Key() string {
	return fmt.Sprintf("%s %s: %s: %s", m.File, m.Func, m.Operator, m.Code)
}

// rewriter puts the mutants of one file into it. It edits text, from the last place to the
// first: what is not changed stays as it is written, line by line.
type rewriter struct {
	fset    *token.FileSet
	info    *types.Info
	source  []byte
	pkg     string
	file    string
	in      string // the function
	result  *types.Tuple
	next    *int
	mutants []Mutant
	edits   []edit
}

type edit struct {
	at    int
	text  string
	order int // of edits at one place
	close bool
}

func (r *rewriter) offset(p token.Pos) int { return r.fset.Position(p).Offset }

func (r *rewriter) text(n ast.Node) string {
	return string(r.source[r.offset(n.Pos()):r.offset(n.End())])
}

// add makes a mutant of n and gives its number.
func (r *rewriter) add(operator string, n ast.Node) int {
	*r.next++
	code := strings.Join(strings.Fields(r.text(n)), " ")
	if len(code) > 100 {
		code = code[:100] + "…"
	}
	r.mutants = append(r.mutants, Mutant{ID: *r.next, Package: r.pkg, File: r.file, Line: r.fset.Position(n.Pos()).Line,
		Func: r.in, Operator: operator, Code: code})
	return *r.next
}

// wrap puts text around n.
func (r *rewriter) wrap(n ast.Node, before, after string) {
	r.edits = append(r.edits,
		edit{at: r.offset(n.Pos()), text: before, order: len(r.edits)},
		edit{at: r.offset(n.End()), text: after, order: len(r.edits) + 1, close: true})
}

// function puts mutants into the body of one.
func (r *rewriter) function(name string, signature *types.Signature, body *ast.BlockStmt) {
	r.in, r.result = name, signature.Results()
	r.block(body)
}

func (r *rewriter) block(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			outer := r.result
			if s, ok := r.info.TypeOf(n).(*types.Signature); ok {
				r.result = s.Results()
			}
			r.block(n.Body)
			r.result = outer
			return false
		case *ast.GenDecl: // constants and types have no place for a choice at run time
			return n.Tok == token.VAR
		case *ast.IfStmt:
			r.condition(n.Cond)
		case *ast.ForStmt:
			if n.Cond != nil {
				id := r.add("loop never runs", n.Cond)
				r.wrap(n.Cond, fmt.Sprintf("(!qtMutant(%d) && (", id), "))")
			}
		case *ast.CaseClause:
			for _, c := range n.List {
				r.condition(c)
			}
			r.statements(n.Body)
		case *ast.BinaryExpr:
			r.binary(n)
		case *ast.UnaryExpr:
			if n.Op == token.NOT && r.isBool(n) {
				r.wrap(n, fmt.Sprintf("(qtMutant(%d) != (", r.add("! is dropped", n)), "))")
			}
		case *ast.BlockStmt:
			r.statements(n.List)
		case *ast.CommClause:
			r.statements(n.Body)
		case *ast.ReturnStmt:
			r.returns(n)
		case *ast.CompositeLit:
			r.literal(n)
		case *ast.SelectorExpr:
			r.constant(n, n.Sel, r.text(n.X)+".")
			r.block(n.X)
			return false
		case *ast.Ident:
			r.constant(n, n, "")
		}
		return true
	})
}

func (r *rewriter) isBool(e ast.Expr) bool {
	t, ok := r.info.Types[e]
	if !ok || t.Value != nil {
		return false
	}
	basic, ok := t.Type.(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

// condition forces a condition, whose operands binary has its own mutants of.
func (r *rewriter) condition(e ast.Expr) {
	if !r.isBool(e) {
		return
	}
	yes, no := r.add("condition is true", e), r.add("condition is false", e)
	r.wrap(e, fmt.Sprintf("(qtMutant(%d) || !qtMutant(%d) && (", yes, no), "))")
}

func (r *rewriter) binary(n *ast.BinaryExpr) {
	if !r.isBool(n) {
		return
	}
	x, y := r.text(n.X), r.text(n.Y)
	switch n.Op {
	case token.LAND, token.LOR:
		neutral := "|| %s"
		if n.Op == token.LOR {
			neutral = "&& %s"
		}
		for _, operand := range []ast.Expr{n.X, n.Y} {
			if r.isBool(operand) {
				id := fmt.Sprintf("qtMutant(%d)", r.add("operand is dropped", operand))
				if n.Op == token.LOR {
					id = "!" + id
				}
				r.wrap(operand, "((", ") "+fmt.Sprintf(neutral, id)+")")
			}
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		other := map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ,
			token.GEQ: token.GTR}[n.Op]
		if simple(n.X) && simple(n.Y) {
			id := r.add("boundary is moved", n)
			r.wrap(n, fmt.Sprintf("(qtMutant(%d) && (%s %s %s) || !qtMutant(%d) && (", id, x, other, y, id), "))")
		}
	}
}

// simple is an expression that may be written twice: it holds no function literal.
func simple(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		if _, literal := n.(*ast.FuncLit); literal {
			ok = false
		}
		return ok
	})
	return ok
}

// ends is a call after which nothing comes: a function that ends in it needs it there.
func (r *rewriter) ends(call *ast.CallExpr) bool {
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "panic"
}

// statements are those of a block, where one can be left out: the init of an if cannot.
func (r *rewriter) statements(all []ast.Stmt) {
	for _, n := range all {
		switch s := n.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); !ok || r.ends(call) {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt:
		case *ast.DeferStmt: // what only gives back memory or a timer makes no difference that can be seen
			if r.text(s.Call) == "cancel()" {
				continue
			}
		default:
			continue
		}
		r.wrap(n, fmt.Sprintf("if !qtMutant(%d) { ", r.add("statement is dropped", n)), " }")
	}
}

func (r *rewriter) returns(n *ast.ReturnStmt) {
	if r.result == nil || len(n.Results) == 0 || len(n.Results) != r.result.Len() {
		return
	}
	last := n.Results[len(n.Results)-1]
	if t := r.info.Types[last]; r.result.At(r.result.Len()-1).Type().String() != "error" || t.IsNil() ||
		types.IsInterface(t.Type) && t.Type.String() != "error" {
		return
	}
	r.wrap(last, fmt.Sprintf("qtNoError(%d, ", r.add("error is nil", last)), ")")
}

// literal drops the fields of a struct, one at a time.
func (r *rewriter) literal(n *ast.CompositeLit) {
	t := r.info.TypeOf(n)
	if t == nil {
		return
	}
	if _, ok := t.Underlying().(*types.Struct); !ok {
		return
	}
	for _, e := range n.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return
		}
		if v := r.info.Types[kv.Value]; v.Type == nil || v.IsNil() || v.Value != nil && r.untyped(kv.Value) {
			continue
		}
		r.wrap(kv.Value, fmt.Sprintf("qtZero(%d, ", r.add("field "+r.text(kv.Key)+" is dropped", kv.Value)), ")")
	}
}

// untyped is a constant whose type its place decides.
func (r *rewriter) untyped(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		c, ok := r.info.Uses[e].(*types.Const)
		return ok && strings.HasPrefix(c.Type().String(), "untyped ")
	case *ast.SelectorExpr:
		return r.untyped(e.Sel)
	case *ast.CallExpr: // a conversion
		return false
	}
	return true
}

// constant swaps a kind of error, or a label, for another of its sort.
func (r *rewriter) constant(whole ast.Expr, n *ast.Ident, qualifier string) {
	c, ok := r.info.Uses[n].(*types.Const)
	if !ok || c.Pkg() == nil || !strings.HasSuffix(c.Pkg().Path(), "/rotator") {
		return
	}
	other := map[string]string{"LabelCurrent": "LabelPending", "LabelPending": "LabelPrevious",
		"LabelPrevious": "LabelCurrent",
		"KindConflict":  "KindInternal", "KindNotFound": "KindInternal", "KindLoginRejected": "KindPrivilege",
		"KindUnreachable": "KindMisconfigured"}[n.Name]
	if other == "" {
		return
	}
	r.wrap(whole, fmt.Sprintf("qtOther(%d, ", r.add("is "+other, whole)), fmt.Sprintf(", %s%s)", qualifier, other))
}

// apply gives the file with all its mutants.
func (r *rewriter) apply() ([]byte, error) {
	var out bytes.Buffer
	at := 0
	for _, e := range sorted(r.edits) {
		out.Write(r.source[at:e.at])
		out.WriteString(e.text)
		at = e.at
	}
	out.Write(r.source[at:])
	if _, err := format.Source(out.Bytes()); err != nil {
		return nil, fmt.Errorf("%s: %w", r.file, err)
	}
	return out.Bytes(), nil
}

// sorted puts edits in the order of the text. At one place what closes comes first,
// the inner before the outer, and then what opens, the outer before the inner. Outer
// nodes are visited first.
func sorted(edits []edit) []edit {
	return slices.SortedFunc(slices.Values(edits), func(a, b edit) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.close != b.close && a.close:
			return -1
		case a.close != b.close:
			return 1
		case a.close:
			return cmp.Compare(b.order, a.order)
		}
		return cmp.Compare(a.order, b.order)
	})
}

// choice is what each mutated package has beside its own files. A mutant that is reached
// leaves a mark while the tests are looked at, so that those which no test reaches need
// no run.
func choice(pkg string, from, to int) string {
	return "package " + pkg + `

import (
	"os"
	"strconv"
	"sync"
)

var qtActive, _ = strconv.Atoi(os.Getenv("QUARTERTURN_MUTANT"))

var qtMarks = os.Getenv("QUARTERTURN_MUTANTS_REACHED")

var qtReached [` + strconv.Itoa(to-from+1) + `]sync.Once

func qtMutant(id int) bool {
	if qtMarks != "" {
		qtReached[id-` + strconv.Itoa(from) + `].Do(func() {
			f, err := os.OpenFile(qtMarks, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err == nil {
				f.WriteString(strconv.Itoa(id) + "\n")
				f.Close()
			}
		})
	}
	return id == qtActive
}

func qtNoError(id int, err error) error {
	if qtMutant(id) {
		return nil
	}
	return err
}

func qtZero[T any](id int, v T) (zero T) {
	if qtMutant(id) {
		return zero
	}
	return v
}

func qtOther[T any](id int, v, other T) T {
	if qtMutant(id) {
		return other
	}
	return v
}
`
}
