package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// judge looks at how operators use the built-in gateway, and tells those people who are to
// know about it. What could not be told is told on a later round.
func (a *App) judge(ctx context.Context) error {
	changed, err := a.Accounts.JudgeReputations(ctx, time.Now())
	for _, r := range changed {
		a.Log.Warn("the built-in gateway treats an operator otherwise", "operator", r.OperatorID, "level", r.Level, "cause", r.Why,
			"day_ended", r.Figures.Day.Ended, "day_bounced", r.Figures.Day.Bounced, "day_complaints", r.Figures.Day.Complaints,
			"week_ended", r.Figures.Week.Ended, "week_bounced", r.Figures.Week.Bounced, "week_complaints", r.Figures.Week.Complaints)
	}
	return errors.Join(err, a.tellReputations(ctx))
}

func (a *App) tellReputations(ctx context.Context) error {
	untold, err := a.System.UntoldReputations(ctx)
	if err != nil || len(untold) == 0 {
		return err
	}
	owner, err := a.Directory.Get(ctx, waypost.PlatformOperatorID)
	if err != nil {
		return err
	}
	n := &notices{app: a}
	var failed error
	for _, r := range untold {
		account, err := a.Directory.Get(ctx, r.OperatorID)
		if waypost.KindOf(err) == waypost.NotFound {
			continue // deleted: the row goes soon
		}
		if err == nil {
			err = n.reputation(account, owner, r)
		}
		if err == nil {
			err = a.System.ReputationTold(ctx, r, time.Now())
		}
		if err != nil { // what is wrong with one keeps no news from the others
			failed = errors.Join(failed, fmt.Errorf("tell about operator %s: %w", r.OperatorID, err))
		}
	}
	return failed
}

// reputation tells an operator and the platform's owner that the built-in gateway treats
// the operator's mail worse than before.
func (n *notices) reputation(a, owner *waypost.Account, r waypost.Reputation) error {
	var subject, what, now string
	switch r.Level {
	case waypost.LevelSlowed:
		subject = "E-mail of %s is slowed down"
		what = fmt.Sprintf("From now on only %d recipients a minute leave by the built-in gateway. Alarms and security mail are not slowed\r\n"+
			"down, and no mail is lost: the rest waits until it is its turn, or until it expires.", a.Guard.PerMinute)
		now = "It ends by itself some hours after the figures are clearly better. If they get worse, all mail but security\r\nmail has to wait."
	case waypost.LevelPaused:
		subject = "E-mail of %s is paused"
		what = "From now on only security mail (codes, password resets) leaves by the built-in gateway. All other mail waits,\r\n" +
			"and is sent when the pause is lifted, unless it expires before."
		now = "The pause does not end by itself: the platform's support lifts it when the cause is mended. An own SMTP server\r\n" +
			"is not concerned; it can be chosen in the e-mail settings."
	default:
		subject = "E-mail of %s: a warning"
		what = "Nothing is held up yet."
		now = "If the figures get worse, mail is slowed down, and then all but security mail has to wait."
	}
	todo := "Many mails went to addresses that do not exist. Remove these from the lists of recipients, and do not send to\r\n" +
		"lists that were bought or have not been used for long. Each bounce is on the page Messages."
	if r.Why == waypost.CauseComplaints {
		todo = "Many recipients called the mail spam. Send only what people asked for, and make it easy to end: fewer\r\n" +
			"notifications, and to those who want them."
	}
	day, week := r.Figures.Day, r.Figures.Week
	figures := fmt.Sprintf("    in 24 hours: %d delivered or bounced, %d to addresses that do not exist (%.1f %%), %d complaints (%.2f %%)\r\n"+
		"    in 7 days:   %d delivered or bounced, %d to addresses that do not exist (%.1f %%), %d complaints (%.2f %%)\r\n",
		day.Ended, day.Bounced, 100*day.BounceShare(), day.Complaints, 100*day.ComplaintShare(),
		week.Ended, week.Bounced, 100*week.BounceShare(), week.Complaints, 100*week.ComplaintShare())
	text := ",\r\n\r\n" +
		"the built-in e-mail gateway is shared by all operators, and mail servers judge all of them by what each sends.\r\n" +
		"Therefore this is about the operator " + a.Name + ".\r\n\r\n" + what + "\r\n\r\nWhat became of the mail:\r\n\r\n" + figures + "\r\n" + todo + "\r\n\r\n" + now + "\r\n"
	kind := fmt.Sprintf("gateway-%s-%d", r.Level, waypost.Millis(r.Since))
	subject = fmt.Sprintf(subject, a.Name)
	return errors.Join(
		n.submit(a, kind, subject, "Hello "+a.Name+text),
		n.submit(owner, kind+"-"+a.ID, subject, "Hello "+owner.Name+text),
	)
}
