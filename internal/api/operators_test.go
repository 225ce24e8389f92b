package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func TestThePlatformManagesOperators(t *testing.T) {
	w := newWorld(t)
	o, err := w.root.CreateOperator(t.Context(), client.NewOperator{Name: "Acme", Product: "servermate", Contact: "it@acme.example"})
	if err != nil || o.Gateway != "builtin" || o.Uncertain != "retry" || o.CreatedAt.IsZero() {
		t.Fatalf("CreateOperator = %+v, %v", o, err)
	}
	changed, err := w.root.ChangeOperator(t.Context(), o.ID, client.OperatorChange{
		Name: new("Acme GmbH"), Contact: new(""), Suspended: new(true), Uncertain: new("hold"), Product: new("on_premise"), PerMinute: new(90),
	})
	want := o
	want.Name, want.Contact, want.Suspended, want.Uncertain, want.Product, want.PerMinute = "Acme GmbH", "", true, "hold", "on_premise", 90
	if diff := cmp.Diff(want, changed); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	if got, err := w.root.GetOperator(t.Context(), o.ID); err != nil || got != changed {
		t.Errorf("GetOperator = %+v, %v", got, err)
	}
	c := w.key(t, o.ID, auth.CreateRequest{})
	_, err = c.Send(t.Context(), mail())
	wantRefusal(t, err, 409, "operator_suspended", "")
	if changed, err = w.root.ChangeOperator(t.Context(), o.ID, client.OperatorChange{Suspended: new(false), Product: new("servermate")}); err != nil || changed.Suspended || changed.Name != "Acme GmbH" {
		t.Errorf("ChangeOperator = %+v, %v", changed, err)
	}
	c.send(t, mail())
	if err := w.root.DeleteOperator(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.root.GetOperator(t.Context(), o.ID)
	wantRefusal(t, err, 404, "not_found", "")
	// The key may be known for a moment longer than its operator.
	_, err = c.Send(t.Context(), mail())
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden {
		t.Errorf("Send = %v", err)
	}
	wantRefusal(t, w.root.DeleteOperator(t.Context(), waypost.PlatformOperatorID), 409, "platform_operator", "")
	wantRefusal(t, w.root.DeleteOperator(t.Context(), waypost.NewID()), 404, "not_found", "")
}

func TestOperatorsAreListedPageByPage(t *testing.T) {
	w := newWorld(t)
	want := []string{waypost.PlatformOperatorID}
	for i := range 5 {
		want = append(want, w.tenant(t, fmt.Sprint("Operator ", i)).id)
	}
	var got []string
	for _, o := range collect(t, w.root.Operators(t.Context())) {
		got = append(got, o.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	res, body := request(t, "GET", w.url+"/v1/operators?limit=2", w.root.Key, nil)
	contains(t, body, `"next":"`+want[1])
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

func TestWrongOperatorsAreRefused(t *testing.T) {
	w := newWorld(t)
	create := func(o client.NewOperator) error { _, err := w.root.CreateOperator(t.Context(), o); return err }
	wantRefusal(t, create(client.NewOperator{Name: "A", Product: "free"}), 422, "invalid", "body.product")
	wantRefusal(t, create(client.NewOperator{Name: " ", Product: "cloud"}), 422, "invalid", "body.name")
	wantRefusal(t, create(client.NewOperator{Name: "A\x00", Product: "cloud"}), 422, "invalid", "body.name")
	wantRefusal(t, create(client.NewOperator{Name: "A", Product: "cloud", Contact: "x"}), 422, "invalid", "body.contact")
	change := func(id string, o client.OperatorChange) error {
		_, err := w.root.ChangeOperator(t.Context(), id, o)
		return err
	}
	id := w.tenant(t, "Acme").id
	wantRefusal(t, change(id, client.OperatorChange{Name: new("")}), 422, "invalid", "body.name")
	wantRefusal(t, change(id, client.OperatorChange{Name: new(" ")}), 422, "invalid", "body.name")
	wantRefusal(t, change(id, client.OperatorChange{Name: new("a\u202eb")}), 422, "invalid", "body.name") // reads as "ab" turned round
	wantRefusal(t, create(client.NewOperator{Name: "a\u202eb", Product: "cloud"}), 422, "invalid", "body.name")
	wantRefusal(t, change(id, client.OperatorChange{Contact: new("x")}), 422, "invalid", "body.contact")
	wantRefusal(t, change(id, client.OperatorChange{Product: new("free")}), 422, "invalid", "body.product")
	wantRefusal(t, change(id, client.OperatorChange{PerMinute: new(-1)}), 422, "invalid", "body.per_minute")
	wantRefusal(t, change(id, client.OperatorChange{Uncertain: new("pray")}), 422, "invalid", "body.uncertain_policy")
	wantRefusal(t, change(waypost.NewID(), client.OperatorChange{Name: new("B")}), 404, "not_found", "")
	wantRefusal(t, change(waypost.PlatformOperatorID, client.OperatorChange{Suspended: new(true)}), 409, "platform_operator", "")
}

func TestThePlatformManagesKeys(t *testing.T) {
	w := newWorld(t)
	id := w.tenant(t, "Acme").id
	made, err := w.root.CreateCredential(t.Context(), id, client.NewCredential{
		Name: "tracking server", Scopes: []string{"send", "read"}, Networks: []string{"192.0.2.0/24"}, DefaultKind: "event", FromPolicy: "refuse",
	})
	if err != nil || made.Key == "" {
		t.Fatalf("CreateCredential = %+v, %v", made, err)
	}
	c := client.New(w.url, made.Key)
	m := mail()
	m.Kind = ""
	r, err := c.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Message(t.Context(), r.ID); err != nil || got.Kind != "event" {
		t.Errorf("Message = %+v, %v", got, err)
	}
	_, err = c.Settings(t.Context())
	wantRefusal(t, err, 403, "scope_missing", "")

	list, err := w.root.Credentials(t.Context(), id)
	if err != nil || len(list) != 2 {
		t.Fatalf("Credentials = %+v, %v", list, err)
	}
	want := made
	want.Key = ""
	if diff := cmp.Diff(want, list[1]); diff != "" {
		t.Error(diff)
	}
	create := func(id string, n client.NewCredential) error {
		_, err := w.root.CreateCredential(t.Context(), id, n)
		return err
	}
	wantRefusal(t, create(w.tenant(t, "Other").id, client.NewCredential{Networks: []string{"192.0.2.7/32"}}), 409, "network_used", "")
	if err := w.root.RevokeCredential(t.Context(), id, made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(t.Context(), m)
	wantRefusal(t, err, 401, "unauthenticated", "")

	wantRefusal(t, create(id, client.NewCredential{Networks: []string{"here"}}), 422, "invalid", "body.networks[0]")
	wantRefusal(t, create(id, client.NewCredential{Scopes: []string{"operators"}}), 422, "invalid", "body.scopes[0]")
	wantRefusal(t, create(id, client.NewCredential{DefaultKind: "security"}), 422, "invalid", "body.default_kind")
	wantRefusal(t, create(waypost.NewID(), client.NewCredential{}), 404, "not_found", "")
	wantRefusal(t, w.root.RevokeCredential(t.Context(), id, waypost.NewID()), 404, "not_found", "")
}

func TestAKeyOfThePlatformNamesTheOperator(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	r, err := w.root.For(c.id).Send(t.Context(), mail())
	if err != nil {
		t.Fatal(err)
	}
	c.until(t, r.ID, "delivered")
	_, err = w.root.Send(t.Context(), mail())
	wantRefusal(t, err, 422, "operator_missing", "header.X-Waypost-Operator")
	_, err = w.root.For(waypost.NewID()).Send(t.Context(), mail())
	wantRefusal(t, err, 403, "operator_unknown", "header.X-Waypost-Operator")
	_, err = w.root.For("acme").Send(t.Context(), mail())
	wantRefusal(t, err, 403, "operator_unknown", "header.X-Waypost-Operator")
	other := w.tenant(t, "Other")
	_, err = other.For(c.id).Send(t.Context(), mail())
	wantRefusal(t, err, 403, "operator_not_allowed", "header.X-Waypost-Operator")
	if _, err = other.For(other.id).Send(t.Context(), mail()); err != nil {
		t.Errorf("naming oneself: %v", err)
	}
	_, err = w.root.For(waypost.PlatformOperatorID).Send(t.Context(), mail())
	if err != nil {
		t.Errorf("the platform's own mail: %v", err)
	}
}
