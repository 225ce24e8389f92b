package waypost

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PlatformSettings is what the owner chooses for the whole platform while it runs. What
// has to be known before the database is, and secrets, are configuration instead.
type PlatformSettings struct {
	Suppression SuppressionPolicy
	ReturnPath  ReturnPathSettings
}

// DefaultPlatformSettings holds until the owner chooses otherwise.
func DefaultPlatformSettings() PlatformSettings {
	return PlatformSettings{Suppression: DefaultSuppressionPolicy()}
}

// SettingsSection is a part of the platform's settings that can be changed and checked by
// itself. It is kept as a JSON object whose values are text, numbers, booleans, or lists.
type SettingsSection interface {
	json.Marshaler
	json.Unmarshaler
	// Check returns an Invalid error with the key of the value that cannot be.
	Check() error
}

// The names of the sections.
const (
	SettingsSuppression = "suppression"
	SettingsReturnPath  = "return_path"
)

// Sections are pointers to the parts of p by their names.
func (p *PlatformSettings) Sections() map[string]SettingsSection {
	return map[string]SettingsSection{
		SettingsSuppression: &p.Suppression,
		SettingsReturnPath:  &p.ReturnPath,
	}
}

// SettingsSections are the names of all sections, in the order of the alphabet.
func SettingsSections() []string {
	return slices.Sorted(maps.Keys(new(PlatformSettings).Sections()))
}

// SettingsDiff says in which values two states of a section differ, for the audit log.
func SettingsDiff(was, is SettingsSection) Detail {
	before, after := values(was), values(is)
	var facts []Detail
	for _, key := range slices.Sorted(maps.Keys(after)) {
		facts = append(facts, ChangeDetail(key, before[key], after[key]))
	}
	return Details(facts...)
}

// values are the values of a section as text.
func values(s SettingsSection) map[string]string {
	text, err := s.MarshalJSON()
	if err != nil {
		return nil
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(text, &raw) != nil {
		return nil
	}
	list := map[string]string{}
	for key, value := range raw {
		var plain string
		if json.Unmarshal(value, &plain) != nil {
			plain = string(value)
		}
		list[key] = plain
	}
	return list
}

// ReturnPathSettings is what happens to mail that people write to addresses of ours that
// nobody reads.
type ReturnPathSettings struct {
	Courtesy string // what they are told in the refusal; "" for a text of ours
	Forward  bool   // an answer to an operator's mail goes to its contact instead
}

// Bounds of the courteous text. A reply line of SMTP has 512 octets with its codes (RFC 5321
// section 4.5.3.1.5), and some lines are enough.
const (
	maxCourtesy      = 900 // bytes
	maxCourtesyLine  = 400
	maxCourtesyLines = 10
)

type returnPathValues struct {
	Courtesy string `json:"courtesy"`
	Forward  bool   `json:"forward"`
}

// MarshalJSON writes the section as it is kept.
func (s ReturnPathSettings) MarshalJSON() ([]byte, error) { return json.Marshal(returnPathValues(s)) }

// UnmarshalJSON reads it; what the text does not have stays as it is.
func (s *ReturnPathSettings) UnmarshalJSON(text []byte) error {
	v := returnPathValues(*s)
	err := json.Unmarshal(text, &v)
	*s = ReturnPathSettings(v)
	return err
}

// Check refuses what cannot stand in a reply.
func (s ReturnPathSettings) Check() error {
	if len(s.Courtesy) > maxCourtesy {
		return FieldError("courtesy", "must have at most "+strconv.Itoa(maxCourtesy)+" bytes")
	}
	lines := strings.Split(s.Courtesy, "\n")
	if len(lines) > maxCourtesyLines || slices.ContainsFunc(lines, func(l string) bool { return len(l) > maxCourtesyLine }) {
		return FieldError("courtesy", fmt.Sprintf("must have at most %d lines of at most %d bytes", maxCourtesyLines, maxCourtesyLine))
	}
	for _, r := range s.Courtesy {
		if r != '\n' && (r < ' ' || r > '~') { // an 8-bit reply needs SMTPUTF8 (RFC 6531 section 3.7.4.2)
			return FieldError("courtesy", "must be of ASCII characters: replies of mail servers have no others")
		}
	}
	return nil
}

// suppressionValues are times in hours, for people and programs.
type suppressionValues struct {
	Hard       int `json:"hard_hours"`
	HardMost   int `json:"hard_most_hours"`
	Soft       int `json:"soft_hours"`
	SoftCount  int `json:"soft_count"`
	SoftWithin int `json:"soft_within_hours"`
	Complaint  int `json:"complaint_hours"`

	Unsubscribe int `json:"unsubscribe_hours"`
}

// MarshalJSON writes the policy as it is kept.
func (p SuppressionPolicy) MarshalJSON() ([]byte, error) {
	hours := func(d time.Duration) int { return int(d / time.Hour) }
	return json.Marshal(suppressionValues{
		Hard: hours(p.Hard), HardMost: hours(p.HardMost), Soft: hours(p.Soft), SoftCount: p.SoftCount, SoftWithin: hours(p.SoftWithin),
		Complaint: hours(p.Complaint), Unsubscribe: hours(p.Unsubscribe),
	})
}

// UnmarshalJSON reads it; what the text does not have stays as it is.
func (p *SuppressionPolicy) UnmarshalJSON(text []byte) error {
	kept, err := p.MarshalJSON()
	if err != nil {
		return err
	}
	var v suppressionValues
	if err := json.Unmarshal(kept, &v); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	*p = SuppressionPolicy{
		Hard: hours(v.Hard), HardMost: hours(v.HardMost), Soft: hours(v.Soft), SoftCount: v.SoftCount, SoftWithin: hours(v.SoftWithin),
		Complaint: hours(v.Complaint), Unsubscribe: hours(v.Unsubscribe),
	}
	return nil
}

// mostHours is the longest time of a suppression: ten years.
const mostHours = 10 * 366 * 24

// Check refuses times that are none, or no end.
func (p SuppressionPolicy) Check() error {
	for _, v := range []struct {
		key string
		d   time.Duration
	}{
		{"hard_hours", p.Hard},
		{"hard_most_hours", p.HardMost},
		{"soft_hours", p.Soft},
		{"soft_within_hours", p.SoftWithin},
		{"complaint_hours", p.Complaint},
		{"unsubscribe_hours", p.Unsubscribe},
	} {
		if v.d < time.Hour || v.d > mostHours*time.Hour {
			return FieldError(v.key, "must be from 1 hour to "+strconv.Itoa(mostHours)+" hours")
		}
	}
	if p.HardMost < p.Hard {
		return FieldError("hard_most_hours", "must not be less than the first time")
	}
	if p.SoftCount < 1 || p.SoftCount > 100 {
		return FieldError("soft_count", "must be from 1 to 100")
	}
	return nil
}
