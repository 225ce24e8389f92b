package app_test

import (
	"fmt"
	"testing"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTheServerRemovesWhatADeletedOperatorHadLeft(t *testing.T) {
	a := start(t, settings(t))
	op, key := operator(t, a.Base, "")
	if err := submit(t, a, key, "driver@example.test", "Speeding"); err != nil {
		t.Fatal(err)
	}
	sandbox(t, a, op, 1)
	if err := a.Accounts.RemoveOperator(t.Context(), waypost.CommandLine(), op); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if submit(t, a, key, "driver@example.test", "Speeding") == nil {
			return fmt.Errorf("its key still works")
		}
		return nil
	})
	eventually(t, func() error {
		found, err := a.Store.Messages(t.Context(), op, store.MessageFilter{})
		if err == nil && len(found.Messages) > 0 {
			err = fmt.Errorf("%d messages are left", len(found.Messages))
		}
		return err
	})
	sandbox(t, a, op, 0)
	o, err := a.System.RemovedOperator(t.Context(), op)
	if err != nil || o.Messages == 0 || !o.Finished.IsZero() { // it is looked at for ten more minutes
		t.Errorf("%+v, %v", o, err)
	}
	if findings, err := a.System.Audit(t.Context()); err != nil || len(findings) != 0 {
		t.Error(findings, err)
	}
}

func TestTheServerKnowsItself(t *testing.T) {
	a := start(t, settings(t))
	eventually(t, func() error {
		m := a.Machine(t.Context())
		switch {
		case m.AuditAt.IsZero():
			return fmt.Errorf("no audit yet")
		case m.Version != "test" || m.Started.IsZero() || m.Database != "sqlite" || m.DatabaseDown || m.DatabaseSize == 0 || m.DiskFree == 0 || m.DiskShort || m.AuditFindings != 0:
			return fmt.Errorf("%+v", m)
		case m.Signer != "": // the sandbox signs nothing
			return fmt.Errorf("signer %s", m.Signer)
		case len(m.Listeners) != 3 || m.Listeners[0].Name != "http" || m.Listeners[0].Addr != a.Addr("http").String():
			return fmt.Errorf("%+v", m.Listeners)
		}
		return nil
	})
}
