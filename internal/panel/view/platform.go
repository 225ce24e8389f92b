package view

// PlatformOverview is the first page of the platform's staff.
type PlatformOverview struct {
	Setup     *SetupCard // nil when nothing is left to set up
	Attention []Attention
	Now       PlatformNow
	Stats     []Figure
	Chart     Chart
	Balance   Balance
	Trouble   []TroubleList
	Empty     bool // no mail was ever accepted
}

// PlatformNow is how the installation stands; it is looked at again and again.
type PlatformNow struct {
	Poll    string
	Figures []Figure
	Lanes   []LaneRow
}

// LaneRow is the queue of one lane.
type LaneRow struct{ Label, Queued, Sessions string }

// TroubleList names some operators with one kind of trouble.
type TroubleList struct {
	Title string
	State string // for the look
	Rows  []TroubleRow
	More  string // path of all of them, "" if these are all
}

// TroubleRow is an operator with trouble.
type TroubleRow struct{ Name, Path, Text, Quote string }
