package api

import (
	"context"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerReputation() {
	register(s, operation{
		ID: "get-reputation", Method: http.MethodGet, Path: "/v1/reputation", Tag: "Settings", Status: http.StatusOK,
		Summary: "Show how the built-in gateway treats the operator's mail",
		Description: "The built-in gateway is shared. Who mails addresses that do not exist, or people who call it spam, is warned, slowed down, and " +
			"paused, by the figures of 24 hours and of 7 days. Mail of kind security always goes, and an own SMTP server is not concerned.",
	}, s.getReputation)
	register(s, operation{
		ID: "get-operator-reputation", Method: http.MethodGet, Path: "/v1/operators/{id}/reputation", Tag: "Operators", Status: http.StatusOK,
		Summary: "Show how the built-in gateway treats an operator's mail", Description: "As the operator sees it at /v1/reputation.",
	}, s.getOperatorReputation)
	register(s, operation{
		ID: "lift-operator-reputation", Method: http.MethodPost, Path: "/v1/operators/{id}/reputation/lift", Tag: "Operators", Status: http.StatusOK,
		Summary: "Lift what the built-in gateway does to an operator's mail",
		Description: "Its mail goes again, its figures count anew from now on, and its limit of recipients a day starts over, unless it has one of its own. " +
			"Nothing happens if its level is ok.",
	}, s.liftOperatorReputation)
}

// reputation is how the built-in gateway treats an operator's mail.
type reputation struct {
	Level     waypost.ReputationLevel `json:"level" enum:"ok,warned,slowed,paused" doc:"slowed: so many recipients a minute. paused: everything but mail of kind security waits until the platform lifts that."`
	Since     string                  `json:"since,omitempty" format:"date-time"`
	Cause     waypost.ReputationCause `json:"cause,omitempty" enum:"bounces,complaints" doc:"bounces: too many addresses that do not exist."`
	Trusted   bool                    `json:"trusted" doc:"The platform trusts the operator: no limit a day, and nothing worse than a warning."`
	PerMinute int                     `json:"slowed_to,omitempty" doc:"Recipients a minute on each node while it is slowed down."`
	Day       gatewayFigures          `json:"day" doc:"Of the last 24 hours."`
	Week      gatewayFigures          `json:"week" doc:"Of the last 7 days."`
	Limit     int                     `json:"daily_limit" doc:"Recipients in 24 hours by the built-in gateway, mail of kind security aside; 0 for any number."`
	Used      int64                   `json:"daily_used" doc:"Of these; the hour that began 24 hours ago counts whole."`
	Rates     reputationRates         `json:"rates" doc:"In percent; a share counts for what it is beyond doubt."`
}

// gatewayFigures are what became of mail on the built-in gateway.
type gatewayFigures struct {
	Ended          int64   `json:"ended" doc:"Deliveries that were delivered or bounced."`
	Bounced        int64   `json:"bounced" doc:"Of these, to addresses or domains that do not exist."`
	Complaints     int64   `json:"complaints" doc:"Of these, called spam by the recipient."`
	BounceShare    float64 `json:"bounce_percent"`
	ComplaintShare float64 `json:"complaint_percent"`
}

// reputationRates are the shares from which on something happens.
type reputationRates struct {
	BounceWarn     float64 `json:"bounce_warn"`
	BounceSlow     float64 `json:"bounce_slow"`
	BouncePause    float64 `json:"bounce_pause"`
	ComplaintWarn  float64 `json:"complaint_warn"`
	ComplaintSlow  float64 `json:"complaint_slow"`
	ComplaintPause float64 `json:"complaint_pause"`
}

func showFigures(f waypost.GatewayFigures) gatewayFigures {
	return gatewayFigures{
		Ended: f.Ended, Bounced: f.Bounced, Complaints: f.Complaints, BounceShare: 100 * f.BounceShare(), ComplaintShare: 100 * f.ComplaintShare(),
	}
}

func showReputation(r account.ReputationReport) reputation {
	v := reputation{
		Level: r.Applied, Trusted: r.Trusted, PerMinute: r.SlowedTo, Day: showFigures(r.Windows.Day), Week: showFigures(r.Windows.Week),
		Limit: r.PerDay, Used: r.Used,
		Rates: reputationRates{
			BounceWarn: r.Policy.Bounces.Warn, BounceSlow: r.Policy.Bounces.Slow, BouncePause: r.Policy.Bounces.Pause,
			ComplaintWarn: r.Policy.Complaints.Warn, ComplaintSlow: r.Policy.Complaints.Slow, ComplaintPause: r.Policy.Complaints.Pause,
		},
	}
	if r.Applied != waypost.LevelOK {
		v.Since, v.Cause = stamp(r.Since), r.Why
	}
	return v
}

func (s *server) getReputation(ctx context.Context, c *caller, _ *struct{}) (*answer[reputation], error) {
	return s.reputationOf(ctx, c.operator())
}

func (s *server) getOperatorReputation(ctx context.Context, _ *caller, in *ByID) (*answer[reputation], error) {
	return s.reputationOf(ctx, in.ID)
}

func (s *server) reputationOf(ctx context.Context, operatorID string) (*answer[reputation], error) {
	r, err := s.Accounts.Reputation(ctx, operatorID, time.Now())
	if err != nil {
		return nil, err
	}
	return &answer[reputation]{showReputation(r)}, nil
}

func (s *server) liftOperatorReputation(ctx context.Context, c *caller, in *ByID) (*answer[reputation], error) {
	if err := s.Accounts.LiftReputation(ctx, c.actor(), in.ID, time.Now()); err != nil {
		return nil, err
	}
	return s.reputationOf(ctx, in.ID)
}
