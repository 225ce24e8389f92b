package account_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func TestProductPolicyAndLimitOfAnOperatorAreChanged(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	before := w.get(t, id).Operator
	for name, tt := range map[string]struct {
		in   account.OperatorChange
		want []string
	}{
		"unknown":   {account.OperatorChange{Product: new(waypost.Product("vhs")), Uncertain: new(waypost.UncertainPolicy("pray"))}, []string{"product", "uncertain"}},
		"negative":  {account.OperatorChange{PerMinute: new(-1)}, []string{"per_minute"}},
		"enormous":  {account.OperatorChange{PerMinute: new(1_000_001)}, []string{"per_minute"}},
		"one wrong": {account.OperatorChange{Name: new("Other"), PerMinute: new(-1)}, []string{"per_minute"}},
	} {
		if diff := cmp.Diff(tt.want, fields(w.ChangeOperator(t.Context(), waypost.CommandLine(), id, tt.in))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if diff := cmp.Diff(before, w.get(t, id).Operator); diff != "" {
		t.Error("a refusal changed something:", diff)
	}
	if err := w.ChangeOperator(t.Context(), waypost.CommandLine(), id, account.OperatorChange{
		Product: new(waypost.ProductCloud), Uncertain: new(waypost.UncertainHold), PerMinute: new(120),
	}); err != nil {
		t.Fatal(err)
	}
	want := before
	want.Product, want.Uncertain, want.PerMinute = waypost.ProductCloud, waypost.UncertainHold, 120
	a := w.get(t, id)
	if diff := cmp.Diff(want, a.Operator); diff != "" {
		t.Error(diff)
	}
	if !a.Withdrawn {
		t.Error("the new product does not include the bound gateway, and nobody says so")
	}
	created, err := w.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{Name: "N", Product: waypost.ProductCloud, Uncertain: waypost.UncertainAssume, PerMinute: 7})
	if err != nil || created.PerMinute != 7 || created.Uncertain != waypost.UncertainAssume {
		t.Errorf("%+v, %v", created, err)
	}
}

func TestSavingWhatIsSoAlreadyIsNoChange(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	before := len(log(t, w, id))
	for range 2 {
		if _, err := w.Suspend(t.Context(), waypost.CommandLine(), id); err != nil {
			t.Fatal(err)
		}
		if err := w.ChangeOperator(t.Context(), waypost.CommandLine(), id, account.OperatorChange{Name: new(w.get(t, id).Name)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := log(t, w, id)[before:]; len(got) != 1 || got[0].Action != "operator.suspend" {
		t.Errorf("%+v", got)
	}
}

func TestADeletedOperatorIsGoneAtOnce(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.get(t, id) // in memory
	for range 2 {
		if err := w.RemoveOperator(t.Context(), waypost.CommandLine(), id); err != nil {
			t.Fatal(err)
		}
		if a, err := w.dir.Get(t.Context(), id); waypost.KindOf(err) != waypost.NotFound {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if err := w.RemoveOperator(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("the platform: %v", err)
	}
}

// log is the audit log of an operator, the oldest entry first.
func log(t *testing.T, w *world, id string) []waypost.AuditEntry {
	t.Helper()
	list, err := w.store.AuditLog(t.Context(), id, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []waypost.AuditEntry
	for i := range list {
		out = append(out, list[len(list)-1-i])
	}
	return out
}
