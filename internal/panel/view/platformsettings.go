package view

// PlatformSettings is what the owner chooses for the whole platform.
type PlatformSettings struct {
	Sections []SettingsSection
	Write    bool
}

// SettingsSection is a part of it that is saved by itself.
type SettingsSection struct {
	Name    string
	Title   string
	About   string
	Problem string
	Fields  []Field // checkboxes have that type, texts of several lines have rows
}
