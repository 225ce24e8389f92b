package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

type rulesCmd struct {
	Test rulesTestCmd `cmd:"" help:"Say what a reply of a server means, and by which rule."`
}

type rulesTestCmd struct {
	Reply string `arg:"" help:"As it was said or quoted: \"550 5.1.1 No such user\"."`
	Rules string `help:"TOML file with rules that come before the built-in ones; else that of WAYPOST_REPLY_RULES." type:"path" placeholder:"FILE"`
	Phase string `enum:"greet,hello,tls,auth,mail,rcpt,data,dot" default:"rcpt" help:"What it answered: greet, hello, tls, auth, mail, rcpt, data or dot."`
	Relay bool   `help:"An operator's own SMTP server said it."`
}

// Run prints the verdict on a reply.
func (c rulesTestCmd) Run(e *environment) error {
	file := c.Rules
	if file == "" {
		settings, err := e.config()
		if err != nil {
			return err
		}
		file = settings.ReplyRules
	}
	rules, err := classify.Open(file)
	if err != nil {
		return err
	}
	in := classify.Input{Phase: waypost.Phase(c.Phase), Reply: classify.ParseReply(c.Reply), Route: waypost.RouteDirect}
	if c.Relay {
		in.Route = waypost.RouteRelay
	}
	if in.Reply.Code == 0 {
		fmt.Fprintln(e.stdout, "It has no code; taken for a 550.")
		in.Reply.Code = 550
	}
	v := rules.Classify(in)
	origin := "built-in"
	if v.Own {
		origin = file
	}
	slow := ""
	if v.Slow.How != "" {
		slow = fmt.Sprintf("%s for %s", v.Slow.How, v.Slow.For)
	}
	suppresses := "no"
	if v.Suppress() {
		suppresses = "yes"
	}
	t := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	for _, row := range [][2]string{
		{"class", string(v.Cause.Class())},
		{"cause", string(v.Cause)},
		{"blame", string(v.Blame)},
		{"outcome", string(v.Outcome)},
		{"suppresses", suppresses},
		{"slow", slow},
		{"rule", fmt.Sprintf("%s (%s)", v.Rule, origin)},
		{"words", v.Words},
		{"code", cmp.Or(in.Reply.Enhanced, "no enhanced code")},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], dash(row[1]))
	}
	return t.Flush()
}
