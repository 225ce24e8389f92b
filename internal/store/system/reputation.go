package system

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// judgedFor is how long after its last news an operator is looked at: long enough for
	// another node to take over the chore, and for clocks that differ.
	judgedFor = 10 * time.Minute

	// casesAtOnce is of how many operators the roll-up is added up in one statement.
	casesAtOnce = 500
)

// ReputationCases reads whoever has to be judged now: operators whose figures changed
// lately, and those that are not ok; by id. The platform itself is not among them.
func (y *System) ReputationCases(ctx context.Context, now time.Time) ([]waypost.ReputationCase, error) {
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT o.id, o.trusted FROM operator o WHERE o.id <> $1 AND o.id IN (
  SELECT operator_id FROM counter WHERE builtin_at >= $2 UNION SELECT operator_id FROM reputation WHERE level <> 'ok') ORDER BY o.id`,
		waypost.PlatformOperatorID, waypost.Millis(now.Add(-judgedFor)))
	if err != nil {
		return nil, fmt.Errorf("list operators to judge: %w", err)
	}
	var cases []waypost.ReputationCase
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		var c waypost.ReputationCase
		c.Reputation.Level = waypost.LevelOK
		err := rows.Scan(&c.Reputation.OperatorID, &c.Trusted)
		cases = append(cases, c)
		return err
	}); err != nil {
		return nil, fmt.Errorf("list operators to judge: %w", err)
	}
	for some := range slices.Chunk(cases, casesAtOnce) {
		if err := y.readCases(ctx, some, now); err != nil {
			return nil, fmt.Errorf("read operators to judge: %w", err)
		}
	}
	return cases, nil
}

// readCases fills in reputations and figures.
func (y *System) readCases(ctx context.Context, cases []waypost.ReputationCase, now time.Time) error {
	ids, byID := make([]string, len(cases)), make(map[string]*waypost.ReputationCase, len(cases))
	for i := range cases {
		ids[i] = cases[i].Reputation.OperatorID
		byID[ids[i]] = &cases[i]
	}
	q := systemsql.New(y.engine.Reader())
	known, err := q.Reputations(ctx, systemsql.ReputationsParams{First: ids[0], Last: ids[len(ids)-1]})
	if err != nil {
		return err
	}
	for _, row := range known {
		if c := byID[row.OperatorID]; c != nil {
			c.Reputation = store.ReputationOf(tenantsql.Reputation(row))
		}
	}
	first := store.FirstHours(now)
	marks, args := marks(ids, 3)
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT r.operator_id,
  CAST(SUM(CASE WHEN r.hour >= $1 THEN r.builtin_ended ELSE 0 END) AS bigint),
  CAST(SUM(CASE WHEN r.hour >= $1 THEN r.builtin_bounced ELSE 0 END) AS bigint),
  CAST(SUM(CASE WHEN r.hour >= $1 THEN r.builtin_complaints ELSE 0 END) AS bigint),
  CAST(SUM(r.builtin_ended) AS bigint), CAST(SUM(r.builtin_bounced) AS bigint), CAST(SUM(r.builtin_complaints) AS bigint)
FROM rollup r LEFT JOIN reputation p ON p.operator_id = r.operator_id
WHERE r.operator_id IN (`+marks+`) AND r.hour >= $2 AND r.hour >= COALESCE(p.counted_from, 0) / 3600000 GROUP BY r.operator_id`,
		append([]any{first.Day, first.Week}, args...)...)
	if err != nil {
		return err
	}
	return engine.Each(rows, func(rows *sql.Rows) error {
		var id string
		var w waypost.ReputationWindows
		if err := rows.Scan(&id, &w.Day.Ended, &w.Day.Bounced, &w.Day.Complaints, &w.Week.Ended, &w.Week.Bounced, &w.Week.Complaints); err != nil {
			return err
		}
		byID[id].Windows = first.Forgive(byID[id].Reputation, w)
		return nil
	})
}

// ChangeReputation reads a reputation and the figures of the hour under way, lets edit
// change it, and writes it with its entry in the audit log, in one transaction that every
// process notices. People are to be told of a level that is worse than before. edit may run
// twice; if it changes nothing, nothing is written. It returns what holds then; the error is
// NotFound if there is no such operator.
func (y *System) ChangeReputation(ctx context.Context, by waypost.Actor, operatorID string, now time.Time,
	edit func(was waypost.Reputation, hour waypost.GatewayFigures) waypost.Reputation,
) (is waypost.Reputation, err error) {
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		// First, for it has others wait: nobody changes the row meanwhile.
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		name, err := systemsql.New(tx).OperatorName(ctx, operatorID)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("operator")
		}
		if err != nil {
			return err
		}
		q := tenantsql.New(tx)
		was := waypost.Reputation{OperatorID: operatorID, Level: waypost.LevelOK}
		row, err := q.Reputation(ctx, operatorID)
		if err == nil {
			was = store.ReputationOf(row)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		hours, err := q.BuiltinHours(ctx, tenantsql.BuiltinHoursParams{OperatorID: operatorID, FirstHour: store.HourOf(now)})
		if err != nil {
			return err
		}
		var hour waypost.GatewayFigures
		for _, h := range hours {
			hour.Add(waypost.GatewayFigures{Ended: h.Ended, Bounced: h.Bounced, Complaints: h.Complaints})
		}
		if is = edit(was, hour); is == was {
			return nil
		}
		told := now
		if is.Level.Rank() > was.Level.Rank() {
			told = time.Time{}
		}
		if err := putReputation(ctx, systemsql.New(tx), is, told); err != nil {
			return err
		}
		action, fact := levelNews(is.Level)
		if err := store.WriteFacts(ctx, tx, waypost.WebhookFact{
			OperatorID: operatorID, Type: fact, Chain: "gateway", At: now, Data: waypost.WebhookGatewayData{OperatorID: operatorID, Reason: string(is.Why)},
		}); err != nil {
			return err
		}
		return store.WriteAudit(ctx, tx, waypost.AuditEntry{
			OperatorID: operatorID, Actor: by, Action: action, Target: name, Detail: figuresDetail(is), At: now,
		})
	})
	if err != nil {
		return waypost.Reputation{}, fmt.Errorf("change reputation: %w", err)
	}
	return is, nil
}

func putReputation(ctx context.Context, q *systemsql.Queries, r waypost.Reputation, told time.Time) error {
	figures, err := json.Marshal(r.Figures)
	if err != nil {
		return err
	}
	return q.PutReputation(ctx, systemsql.PutReputationParams{
		OperatorID: r.OperatorID, Level: string(r.Level), Since: waypost.Millis(r.Since), Why: string(r.Why), Figures: string(figures),
		FrozenAt: waypost.Millis(r.Frozen), CalmSince: waypost.Millis(r.CalmSince), TroubleAt: waypost.Millis(r.TroubleAt),
		CountedFrom: waypost.Millis(r.CountedFrom), BaseEnded: r.Base.Ended, BaseBounced: r.Base.Bounced, BaseComplaints: r.Base.Complaints,
		ChangedBy: r.By, Told: waypost.Millis(told),
	})
}

// levelNews is how the audit log and webhooks call it that a level holds from now on.
func levelNews(l waypost.ReputationLevel) (action string, fact waypost.WebhookType) {
	switch l {
	case waypost.LevelWarned:
		return "gateway.warn", waypost.WebhookGuardWarned
	case waypost.LevelSlowed:
		return "gateway.slow", waypost.WebhookGuardSlowed
	case waypost.LevelPaused:
		return "gateway.pause", waypost.WebhookGuardPaused
	case waypost.LevelOK:
	}
	return "gateway.resume", waypost.WebhookGuardEnded
}

// figuresDetail says what a level was set by; nothing for a person's decision.
func figuresDetail(r waypost.Reputation) waypost.Detail {
	if r.Figures == (waypost.ReputationWindows{}) {
		return ""
	}
	day, week := r.Figures.Day, r.Figures.Week
	return waypost.NewDetail(waypost.DetailFigures, "ended", day.Ended, "bounced", day.Bounced, "complaints", day.Complaints,
		"week_ended", week.Ended, "week_bounced", week.Bounced, "week_complaints", week.Complaints)
}

// SetReputationCalm records since when a lower level would do, zero for not any more. It is
// for the next look only, so nobody else has to notice.
func (y *System) SetReputationCalm(ctx context.Context, operatorID string, since time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return systemsql.New(tx).SetReputationCalm(ctx, systemsql.SetReputationCalmParams{OperatorID: operatorID, CalmSince: waypost.Millis(since)})
	})
	if err != nil {
		return fmt.Errorf("record calm: %w", err)
	}
	return nil
}

// UntoldReputations reads the reputations that people have not been told about, at most 100.
func (y *System) UntoldReputations(ctx context.Context) ([]waypost.Reputation, error) {
	rows, err := y.queries().UntoldReputations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list reputations: %w", err)
	}
	list := make([]waypost.Reputation, len(rows))
	for i, row := range rows {
		list[i] = store.ReputationOf(tenantsql.Reputation(row))
	}
	return list, nil
}

// ReputationTold records that people were told about a level, unless it is another by now.
func (y *System) ReputationTold(ctx context.Context, r waypost.Reputation, now time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return systemsql.New(tx).SetReputationTold(ctx, systemsql.SetReputationToldParams{
			OperatorID: r.OperatorID, Since: waypost.Millis(r.Since), Told: waypost.Millis(now),
		})
	})
	if err != nil {
		return fmt.Errorf("record a notice: %w", err)
	}
	return nil
}

// ReputationCounts counts operators by level; those that are ok are not counted.
func (y *System) ReputationCounts(ctx context.Context) (map[waypost.ReputationLevel]int64, error) {
	rows, err := y.queries().CountReputations(ctx)
	if err != nil {
		return nil, fmt.Errorf("count reputations: %w", err)
	}
	counts := map[waypost.ReputationLevel]int64{}
	for _, row := range rows {
		counts[waypost.ReputationLevel(row.Level)] = row.Count
	}
	return counts, nil
}
