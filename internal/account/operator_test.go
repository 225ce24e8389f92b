package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestOperatorsAreCheckedBeforeTheyAreCreated(t *testing.T) {
	w := newWorld(t)
	parent := w.operator(t, waypost.ProductServermate)
	tests := []struct {
		name string
		in   account.NewOperator
		want []string
	}{
		{"good", account.NewOperator{Name: " Ümit Filo ", Product: "cloud", Contact: "ops@acme.example", ParentID: parent}, nil},
		{"200 characters", account.NewOperator{Name: strings.Repeat("ä", 200), Product: "cloud"}, nil},
		{"everything wrong", account.NewOperator{Name: " ", Product: "vhs", Contact: "nobody"}, []string{"name", "product", "contact"}},
		{"201 characters", account.NewOperator{Name: strings.Repeat("ä", 201), Product: "cloud"}, []string{"name"}},
		{"control", account.NewOperator{Name: "a\r\nBcc: b", Product: "cloud"}, []string{"name"}},
		{"turned text", account.NewOperator{Name: "a\u202eb", Product: "cloud"}, []string{"name"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := w.CreateOperator(t.Context(), waypost.CommandLine(), tt.in)
			if diff := cmp.Diff(tt.want, fields(err)); diff != "" {
				t.Fatal(diff, err)
			}
			if err != nil {
				return
			}
			if a := w.get(t, o.ID); a.Name != strings.TrimSpace(tt.in.Name) || a.ParentID != tt.in.ParentID || a.Uncertain != waypost.UncertainRetry {
				t.Errorf("created %+v", a.Operator)
			}
		})
	}
	_, err := w.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{Name: "x", Product: "cloud", ParentID: waypost.NewID()})
	if e := waypost.AsError(err); e.Kind != waypost.Invalid || e.Field != "parent_id" {
		t.Errorf("unknown parent: %v", err)
	}
}

func TestOperatorsAreCheckedAsMuchWhenTheyAreChanged(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	before := w.get(t, id).Operator
	for name, tt := range map[string]struct {
		in   account.OperatorChange
		want []string
	}{
		"both wrong":     {account.OperatorChange{Name: new(" "), Contact: new("nobody")}, []string{"name", "contact"}},
		"201 characters": {account.OperatorChange{Name: new(strings.Repeat("ä", 201))}, []string{"name"}},
		"control":        {account.OperatorChange{Name: new("a\r\nBcc: b")}, []string{"name"}},
		"turned text":    {account.OperatorChange{Name: new("a\u202eb")}, []string{"name"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fields(w.ChangeOperator(t.Context(), waypost.CommandLine(), id, tt.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff(before, w.get(t, id).Operator); diff != "" {
		t.Error("a refusal changed something:", diff)
	}
	if err := w.ChangeOperator(t.Context(), waypost.CommandLine(), id, account.OperatorChange{Name: new(" Acme GmbH "), Contact: new("ops@acme.example")}); err != nil {
		t.Fatal(err)
	}
	want := before
	want.Name, want.Contact = "Acme GmbH", "ops@acme.example"
	if diff := cmp.Diff(want, w.get(t, id).Operator); diff != "" { // at once, in this process
		t.Error(diff)
	}
	if err := w.ChangeOperator(t.Context(), waypost.CommandLine(), waypost.NewID(), account.OperatorChange{Name: new("B")}); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("an unknown operator: %v", err)
	}
}

func TestSuspensionIsSeenAtOnceAndEnds(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.get(t, id)
	for range 2 {
		if o, err := w.Suspend(t.Context(), waypost.CommandLine(), id); err != nil || !o.Suspended || !w.get(t, id).Suspended {
			t.Fatalf("Suspend = %+v, %v", o, err)
		}
	}
	if o, err := w.Resume(t.Context(), waypost.CommandLine(), id); err != nil || o.Suspended || w.get(t, id).Suspended {
		t.Fatalf("Resume = %+v, %v", o, err)
	}
	if _, err := w.Suspend(t.Context(), waypost.CommandLine(), waypost.NewID()); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("an unknown operator: %v", err)
	}
	if _, err := w.Suspend(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("the platform: %v", err)
	}
}

func TestSuppressionsAreNormalizedCheckedAndOnesOwn(t *testing.T) {
	w := newWorld(t)
	id, other := w.operator(t, waypost.ProductCloud), w.operator(t, waypost.ProductCloud)
	if w.get(t, id).Suppressions {
		t.Fatal("suppressions from the start")
	}
	if _, err := w.AddSuppression(t.Context(), waypost.CommandLine(), id, account.NewSuppression{Address: " Bob@Acme.Example ", Detail: "asked"}); err != nil {
		t.Fatal(err)
	}
	if !w.get(t, id).Suppressions || w.get(t, other).Suppressions {
		t.Error("the snapshots do not tell who has suppressions")
	}
	list, next, err := w.Suppressions(t.Context(), id, store.SuppressionFilter{}, "", 10)
	if err != nil || len(list) != 1 || next != "" || list[0].Address != "bob@acme.example" || list[0].Reason != waypost.SuppressedManual {
		t.Errorf("Suppressions = %+v, %q, %v", list, next, err)
	}
	_, err = w.AddSuppression(t.Context(), waypost.CommandLine(), id, account.NewSuppression{Address: "bob", Detail: "a\nb", Expires: time.Unix(1, 0)})
	if diff := cmp.Diff([]string{"address", "detail", "expires"}, fields(err)); diff != "" {
		t.Error(diff)
	}
	if err := w.RemoveSuppression(t.Context(), waypost.CommandLine(), other, "bob@acme.example", "", ""); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("another operator removes it: %v", err)
	}
	if err := w.RemoveSuppression(t.Context(), waypost.CommandLine(), id, "BOB@acme.example", "", ""); err != nil {
		t.Error(err)
	}
	if w.get(t, id).Suppressions {
		t.Error("the removed suppression is still told of")
	}
}
