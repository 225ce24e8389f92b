package e2e_test

import (
	"strings"
	"testing"
)

func TestFirstStartIsASandbox(t *testing.T) {
	in := newInstallation(t)
	s := in.start()
	t.Logf("ready after %s", s.took)
	op := in.operator("First", "servermate")
	key, _ := in.credential("--operator", op)
	id := dial(t, s.smtp()).login("any", key).submit("a@operator.test", "b@nowhere.test", letter("a@operator.test", "b@nowhere.test", "Hello"))
	eventually(t, patience, "the mail is in the sandbox", func() bool { return in.status(op)["delivered"] == 1 })
	if list := in.messages("--operator", op); len(list) != 1 || list[0].ID != id || list[0].Subject != "Hello" {
		t.Errorf("messages: %+v", list)
	}
	s.stop()
	if !strings.Contains(s.log(), "sandbox") {
		t.Error("the log does not mention the sandbox")
	}
}
