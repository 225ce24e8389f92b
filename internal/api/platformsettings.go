package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/waypost/waypost/internal/waypost"
)

// PlatformSettings keeps what the owner chooses for all operators; *system.System does.
type PlatformSettings interface {
	PlatformSettings(ctx context.Context) (waypost.PlatformSettings, error)
	ChangePlatformSettings(ctx context.Context, by waypost.Actor, change func(*waypost.PlatformSettings) error) (waypost.PlatformSettings, error)
}

func (s *server) registerPlatformSettings() {
	register(s, operation{
		ID: "get-platform-settings", Method: http.MethodGet, Path: "/v1/platform/settings", Tag: "Platform", Status: http.StatusOK,
		Summary: "Show the platform's settings", Description: "What holds for all operators.",
	}, s.getPlatformSettings)
	register(s, operation{
		ID: "change-platform-settings", Method: http.MethodPatch, Path: "/v1/platform/settings", Tag: "Platform", Status: http.StatusOK,
		Summary: "Change the platform's settings", Description: "What is left out stays. It takes effect within a second.",
	}, s.changePlatformSettings)
}

// platformSettings has the sections that can be changed, each value by itself. A test
// compares them with those that are kept.
type platformSettings struct {
	Suppression *suppressionSettings `json:"suppression,omitempty"`
	ReturnPath  *returnPathSettings  `json:"return_path,omitempty"`
}

// suppressionSettings say how long addresses are suppressed by what happened to mail, and by what
// recipients say.
type suppressionSettings struct {
	Hard       *int `json:"hard_hours,omitempty" doc:"After a bounce that says that the address does not work; twice as long each time after that."`
	HardMost   *int `json:"hard_most_hours,omitempty" doc:"The longest of these times."`
	Soft       *int `json:"soft_hours,omitempty" doc:"After several mails were given up."`
	SoftCount  *int `json:"soft_count,omitempty" doc:"How many mails these are."`
	SoftWithin *int `json:"soft_within_hours,omitempty" doc:"Within which time."`
	Complaint  *int `json:"complaint_hours,omitempty" doc:"After a complaint."`

	Unsubscribe *int `json:"unsubscribe_hours,omitempty" doc:"After a recipient unsubscribed."`
}

// returnPathSettings say what happens to mail that people write to addresses nobody reads.
type returnPathSettings struct {
	Courtesy *string `json:"courtesy,omitempty" doc:"What the writer is told in the refusal, in ASCII; empty for a text of ours."`
	Forward  *bool   `json:"forward,omitempty" doc:"An answer to an operator's mail is forwarded to the operator's contact."`
}

func showPlatformSettings(p waypost.PlatformSettings) (platformSettings, error) {
	var v platformSettings
	text, err := json.Marshal(p.Sections())
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	return v, err
}

func (s *server) getPlatformSettings(ctx context.Context, _ *caller, _ *struct{}) (*answer[platformSettings], error) {
	kept, err := s.PlatformSettings.PlatformSettings(ctx)
	if err != nil {
		return nil, err
	}
	v, err := showPlatformSettings(kept)
	return &answer[platformSettings]{v}, err
}

func (s *server) changePlatformSettings(ctx context.Context, c *caller, in *answer[platformSettings]) (*answer[platformSettings], error) {
	text, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	kept, err := s.PlatformSettings.ChangePlatformSettings(ctx, c.actor(), func(p *waypost.PlatformSettings) error {
		var changed map[string]json.RawMessage
		if err := json.Unmarshal(text, &changed); err != nil {
			return err
		}
		sections := p.Sections()
		for name, values := range changed {
			if err := sections[name].UnmarshalJSON(values); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v, err := showPlatformSettings(kept)
	return &answer[platformSettings]{v}, err
}
