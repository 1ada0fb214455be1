//go:build unix

package mutate_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

func sortFunc[T any](s []T, by func(a, b T) int) { slices.SortStableFunc(s, by) }

// twins are operators and what becomes of them, with the function of testdata/switch.go that is either.
var twins = map[token.Token]struct{ function, now string }{
	token.LSS:     {"mutantLess", "<="},
	token.LEQ:     {"mutantAtMost", "<"},
	token.GTR:     {"mutantMore", ">="},
	token.GEQ:     {"mutantAtLeast", ">"},
	token.ADD:     {"mutantAdd", "-"},
	token.SUB:     {"mutantSub", "+"},
	token.MUL:     {"mutantMul", "/"},
	token.QUO:     {"mutantDiv", "*"},
	token.REM:     {"mutantRem", "*"},
	token.AND:     {"mutantAnd", "|"},
	token.OR:      {"mutantOr", "&"},
	token.XOR:     {"mutantXor", "&"},
	token.AND_NOT: {"mutantAndNot", "&"},
	token.SHL:     {"mutantLeft", ">>"},
	token.SHR:     {"mutantRight", "<<"},
}

// binary finds the mutants of an operator: its twin, and for what is true or false the negation.
func (f *finder) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND, token.LOR:
		f.junction(n)
		return
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		f.negate(n)
	default:
	}
	twin, ok := twins[n.Op]
	kind := "arithmetic"
	if n.Op.Precedence() == token.LSS.Precedence() {
		kind = "bound"
	} else if basic, isBasic := f.info.TypeOf(n).Underlying().(*types.Basic); isBasic && basic.Info()&types.IsNumeric == 0 {
		return // texts that are put together
	}
	if !ok {
		return
	}
	edits := []edit{
		f.through(n, twin.function),
		{from: f.offset(n.OpPos), to: f.offset(n.OpPos) + len(n.Op.String()), before: ",", replaces: true},
	}
	if kind != "bound" && f.adapts(n.X) {
		if name, ok := f.spelled(f.info.TypeOf(n)); ok {
			edits = append(edits, f.around(n.X, name+"(", ")"))
		}
	}
	f.add(n, kind, f.code(n), f.code(n.X)+" "+twin.now+" "+f.code(n.Y), edits...)
}

// adapts tells whether an operand takes the type that is wanted where it stands, as 1 does, and 1 << n: handed to a function
// it would be an int.
func (f *finder) adapts(e ast.Expr) bool {
	if f.info.Types[e].Value != nil {
		return true
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		shifts := e.Op == token.SHL || e.Op == token.SHR
		return f.adapts(e.X) && (shifts || f.adapts(e.Y))
	case *ast.UnaryExpr:
		return f.adapts(e.X)
	}
	return false
}

// junction finds the mutants of && and ||: the other one, and each side as if it were not there. The other one is by De
// Morgan's law, so that the right side is still looked at only when the left one asks for it.
func (f *finder) junction(n *ast.BinaryExpr) {
	other, function, kind, now := "||", "mutantAlways", "always", "true"
	if n.Op == token.LOR {
		other, function, kind, now = "&&", "mutantNever", "never", "false"
	}
	f.add(n, "junction", f.code(n), f.code(n.X)+" "+other+" "+f.code(n.Y),
		f.through(n, "mutantNot"), f.through(n.X, "mutantNot"), f.through(n.Y, "mutantNot"))
	for _, side := range []ast.Expr{n.X, n.Y} {
		f.leaf(side)
		f.add(side, kind, f.code(side), now, f.through(side, function))
	}
}

func (f *finder) negate(e ast.Expr) {
	f.add(e, "negated", f.code(e), "!("+f.code(e)+")", f.through(e, "mutantNot"))
}

// leaf negates what is true or false and has no parts of its own that are.
func (f *finder) leaf(e ast.Expr) {
	e = ast.Unparen(e)
	switch n := e.(type) {
	case *ast.BinaryExpr:
		return
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			return
		}
	}
	tv := f.info.Types[e]
	if basic, ok := tv.Type.Underlying().(*types.Basic); ok && basic.Info()&types.IsBoolean != 0 && tv.Value == nil {
		f.negate(e)
	}
}

func (f *finder) condition(e ast.Expr, always bool) {
	if f.info.Types[e].Value != nil {
		return
	}
	f.leaf(e)
	if always {
		f.add(e, "always", "if "+f.code(e), "true", f.through(e, "mutantAlways"))
	}
	f.add(e, "never", "if "+f.code(e), "false", f.through(e, "mutantNever"))
}

// cases finds conditions in a switch without a tag, and passes the labels of one with a tag.
func (f *finder) cases(n *ast.SwitchStmt) {
	for _, clause := range n.Body.List {
		for _, e := range clause.(*ast.CaseClause).List {
			if n.Tag != nil {
				f.passed[e] = true
			} else {
				f.condition(e, true)
			}
		}
	}
}

// keys passes the places in an array's or a slice's literal.
func (f *finder) keys(n *ast.CompositeLit) {
	switch f.info.TypeOf(n).Underlying().(type) {
	case *types.Array, *types.Slice, *types.Struct:
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				f.passed[kv.Key] = true
			}
		}
	}
}

// literal finds the mutants of a constant that is written out.
func (f *finder) literal(e ast.Expr) {
	t := f.info.TypeOf(e)
	switch n := e.(type) {
	case *ast.BasicLit:
		name, ok := f.spelled(t)
		if basic, isBasic := t.Underlying().(*types.Basic); n.Kind == token.INT && ok && isBasic && basic.Info()&types.IsNumeric != 0 {
			if basic.Info()&types.IsUntyped != 0 {
				return
			}
			f.add(n, "number", f.around1(n), n.Value+"+1", f.around(n, "mutantOneMore(NUMBER, "+name+"(", "))"))
		}
	case *ast.Ident:
		if n.Name == "true" || n.Name == "false" {
			f.add(n, "negated", f.around1(n), "!"+n.Name, f.through(n, "mutantNot"))
		}
	}
}

// around1 is a literal with what stands around it, because it says little alone.
func (f *finder) around1(n ast.Node) string {
	for _, around := range slices.Backward(f.stack) {
		switch p := around.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.FuncLit:
			return f.code(n)
		case *ast.ParenExpr:
		case ast.Expr, ast.Stmt:
			if c := f.code(p); len(c) < 70 {
				return f.code(n) + " in " + c
			}
			return f.code(n)
		}
	}
	return f.code(n)
}

// results finds the mutants of what a function returns.
func (f *finder) results(n *ast.ReturnStmt) {
	sig := f.signature()
	if sig == nil || sig.Results().Len() != len(n.Results) {
		return
	}
	for i, e := range n.Results {
		want := sig.Results().At(i).Type()
		tv := f.info.Types[e]
		name, ok := f.spelled(want)
		if tv.IsNil() || !ok {
			continue
		}
		if lit, isLit := e.(*ast.CompositeLit); isLit && len(lit.Elts) == 0 {
			continue // zero as it is
		}
		zero := f.around(e, "mutantZero["+name+"](NUMBER, ", ")")
		basic, isBasic := want.Underlying().(*types.Basic)
		switch {
		case isBasic && basic.Info()&types.IsBoolean != 0:
			f.leaf(e)
		case types.Identical(want, types.Universe.Lookup("error").Type()):
			f.add(e, "no error", "return "+f.code(e), "nil", zero)
		case tv.Value != nil && (tv.Value.ExactString() == "0" || tv.Value.ExactString() == `""`):
		default:
			f.add(e, "zero", "return "+f.code(e), "zero", zero)
			if isBasic && basic.Info()&types.IsInteger != 0 && tv.Value == nil {
				f.add(e, "one more", "return "+f.code(e), f.code(e)+"+1", f.around(e, "mutantOneMore["+name+"](NUMBER, ", ")"))
			}
		}
	}
}

// signature is that of the function around, a literal or not.
func (f *finder) signature() *types.Signature {
	for _, around := range slices.Backward(f.stack) {
		switch fn := around.(type) {
		case *ast.FuncLit:
			return f.info.TypeOf(fn).(*types.Signature)
		case *ast.FuncDecl:
			return f.info.Defs[fn.Name].Type().(*types.Signature)
		}
	}
	return nil
}

// branch makes continue of break and the other way round, where either is about the same loop.
func (f *finder) branch(n *ast.BranchStmt) {
	other := map[token.Token]string{token.BREAK: "continue", token.CONTINUE: "break"}[n.Tok]
	if other == "" {
		return
	}
	if n.Label != nil {
		other += " " + n.Label.Name // of a switch or a select it does not compile, and is left out
	} else if n.Tok == token.BREAK {
		if !f.inLoop() {
			return
		}
	}
	f.add(n, "loop", f.code(n), other, f.around(n, "if mutantOn(NUMBER) { "+other+" }; ", ""))
}

// inLoop tells whether what a break leaves here is a loop.
func (f *finder) inLoop() bool {
	for _, around := range slices.Backward(f.stack) {
		switch around.(type) {
		case *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
			return false
		case *ast.ForStmt, *ast.RangeStmt:
			return true
		}
	}
	return false
}

// statements leaves out statements, one at a time.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		if f.needed(s) {
			continue
		}
		f.add(s, "left out", f.code(s), "", f.around(s, "if !mutantOn(NUMBER) { ", " }"))
	}
}

// needed tells whether a statement must be there, for the compiler or for anything to end at all.
func (f *finder) needed(s ast.Stmt) bool {
	var call *ast.CallExpr
	switch s := s.(type) {
	case *ast.AssignStmt:
		blank := !slices.ContainsFunc(s.Lhs, func(e ast.Expr) bool { id, ok := e.(*ast.Ident); return !ok || id.Name != "_" })
		return s.Tok == token.DEFINE || blank
	case *ast.IncDecStmt, *ast.SendStmt:
		return false
	case *ast.ExprStmt:
		call, _ = s.X.(*ast.CallExpr)
	case *ast.DeferStmt:
		call = s.Call
	case *ast.GoStmt:
		call = s.Call
	}
	if call == nil {
		return true
	}
	code := f.code(call)
	if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
		return true
	}
	if _, ok := s.(*ast.DeferStmt); ok && strings.Contains(code, "nlock()") {
		return true
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, sel.Sel.Name)
}

// assignment makes -= of += and the other way round.
func (f *finder) assignment(n *ast.AssignStmt) {
	now := map[token.Token]string{token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+="}[n.Tok]
	if now == "" {
		return
	}
	t := f.info.TypeOf(n.Lhs[0])
	basic, isBasic := t.Underlying().(*types.Basic)
	name, ok := f.spelled(t)
	if !ok || !isBasic || basic.Info()&types.IsNumeric == 0 {
		return
	}
	f.add(n, "arithmetic", f.code(n), f.code(n.Lhs[0])+" "+now+" "+f.code(n.Rhs[0]),
		f.around(n.Rhs[0], "mutantMinus["+name+"](NUMBER, ", ")"))
}
