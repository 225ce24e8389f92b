package panel

// Route is a route and who may use it.
type Route struct {
	Pattern string
	Access  string
}

// Routes lists the routes of the panel.
func Routes() []Route {
	names := map[access]string{
		anybody: "anybody", signedIn: "signed in", tenantRead: "tenant read", tenantWrite: "tenant write",
		platformRead: "platform read", platformWrite: "platform write", ownerOnly: "owner",
	}
	var list []Route
	for _, r := range (&panel{}).routes() {
		list = append(list, Route{r.pattern, names[r.access]})
	}
	return list
}

// Wordy are the codes of advice whose own words are shown beside the translation.
func Wordy() []string {
	var list []string
	for _, code := range wordy() {
		list = append(list, string(code))
	}
	return list
}

// EventReasons are the sentences that explain events, with the keys of their translations.
func EventReasons() map[string]string { return eventReasons() }
