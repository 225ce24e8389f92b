package view

import "github.com/waypost/waypost/internal/panel/locale"

// initialTheme is the theme until the script knows what the system wants.
func initialTheme(theme string) string {
	if theme == "dark" {
		return "dark"
	}
	return "light"
}

func languages() []locale.Language { return locale.Languages() }
