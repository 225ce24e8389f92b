package panel

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) platformSettingsRoutes() []page {
	return []page{
		{"GET /platform/settings", platformRead, p.platformSettingsPage},
		{"POST /platform/settings/{section}", ownerOnly, p.savePlatformSettings},
	}
}

// settingsInput is how a value of a section is typed.
type settingsInput string

const (
	inputNumber settingsInput = "number"
	inputCheck  settingsInput = "checkbox"
	inputLines  settingsInput = "lines"
)

// settingsForm is a section of the page; the texts of its values stand under its name.
type settingsForm struct {
	section string
	values  []settingsValue
}

type settingsValue struct {
	key   string
	input settingsInput
}

// settingsForms are the sections in the order of the page.
func settingsForms() []settingsForm {
	number := func(key string) settingsValue { return settingsValue{key, inputNumber} }
	return []settingsForm{
		{waypost.SettingsSuppression, []settingsValue{
			number("hard_hours"), number("hard_most_hours"), number("soft_hours"), number("soft_count"), number("soft_within_hours"), number("complaint_hours"), number("unsubscribe_hours"),
		}},
		{waypost.SettingsReturnPath, []settingsValue{{"courtesy", inputLines}, {"forward", inputCheck}}},
	}
}

func (p *panel) platformSettingsPage(q *request) error {
	return p.showPlatformSettings(q, "", nil, nil)
}

// showPlatformSettings shows the page; of one section what was typed, and what is wrong there.
func (p *panel) showPlatformSettings(q *request, section string, typed map[string]string, w *wrong) error {
	kept, err := p.System.PlatformSettings(q.Context())
	if err != nil {
		return err
	}
	v := view.PlatformSettings{Write: ownerOnly.allows(q.session)}
	for _, form := range settingsForms() {
		values, err := sectionValues(kept.Sections()[form.section])
		if err != nil {
			return err
		}
		var problems *wrong
		if form.section == section {
			values, problems = typed, w
		}
		set := "platform_settings." + form.section
		s := view.SettingsSection{Name: form.section, Title: q.T(set), About: q.T(set + "_about"), Problem: problems.text("")}
		for _, value := range form.values {
			f := view.Field{
				Name: value.key, Label: q.T(set + "_" + value.key), Hint: q.maybe(set + "_" + value.key + "_hint"), Value: values[value.key],
				Error: problems.text(form.section + "." + value.key), Disabled: !v.Write, Max: 1000,
			}
			switch value.input {
			case inputNumber:
				f.Mode, f.Max, f.Required = "numeric", 10, true
			case inputCheck:
				f.Type, f.Max = "checkbox", 0
			case inputLines:
				f.Rows = 3
			}
			s.Fields = append(s.Fields, f)
		}
		v.Sections = append(v.Sections, s)
	}
	title := q.T("platform_settings.title")
	return q.showStatus(w.code(), title, view.PlatformSettingsPage(q.frame(title), v))
}

// sectionValues are the values of a section as they are typed.
func sectionValues(s waypost.SettingsSection) (map[string]string, error) {
	text, err := s.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, value := range raw {
		switch value := value.(type) {
		case string:
			values[key] = value
		case bool:
			values[key] = strconv.FormatBool(value)
		case float64:
			values[key] = strconv.FormatFloat(value, 'f', -1, 64)
		}
	}
	return values, nil
}

func (p *panel) savePlatformSettings(q *request) error {
	var form settingsForm
	for _, f := range settingsForms() {
		if f.section == q.PathValue("section") {
			form = f
		}
	}
	if form.section == "" {
		return waypost.NewError(waypost.NotFound, "not_found", "there is no such section")
	}
	typed, values, w := q.typedSettings(form)
	if len(q.PostForm) == 0 { // nothing was sent: nothing is changed
		return p.platformSettingsPage(q)
	}
	if w != nil {
		return p.showPlatformSettings(q, form.section, typed, w)
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	_, err = p.System.ChangePlatformSettings(q.Context(), q.by(), func(s *waypost.PlatformSettings) error {
		err := s.Sections()[form.section].UnmarshalJSON(text)
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // a fraction where there is none
			return waypost.FieldError(form.section+"."+e.Field, q.T("platform_settings.number"))
		}
		return err
	})
	if err != nil {
		keys := make([]string, len(form.values))
		for i, v := range form.values {
			keys[i] = form.section + "." + v.key
		}
		w, err := q.wrong(err, keys...)
		if err != nil {
			return err
		}
		return p.showPlatformSettings(q, form.section, typed, w)
	}
	return q.redirect("/platform/settings", "platform_settings_saved")
}

// typedSettings reads a section's form: as it was typed, and as values.
func (q *request) typedSettings(form settingsForm) (typed map[string]string, values map[string]any, w *wrong) {
	typed, values = map[string]string{}, map[string]any{}
	w = &wrong{http.StatusUnprocessableEntity, map[string]string{}}
	for _, v := range form.values {
		text := strings.ReplaceAll(storable(q.FormValue(v.key), 2000), "\r\n", "\n")
		typed[v.key] = text
		switch v.input {
		case inputCheck:
			values[v.key] = text == "true"
		case inputNumber:
			n, err := strconv.ParseFloat(text, 64)
			if err != nil || n < 0 || n > 1e9 {
				w.texts[form.section+"."+v.key] = q.T("platform_settings.number")
				continue
			}
			values[v.key] = n
		default:
			values[v.key] = text
		}
	}
	if len(w.texts) > 0 {
		return typed, values, w
	}
	return typed, values, nil
}
