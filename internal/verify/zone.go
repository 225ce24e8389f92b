package verify

import "strings"

// Zone is the records of a report that are still to be published, as lines of a zone
// file, each with what it is for.
func Zone(r Report) string {
	var b strings.Builder
	for _, i := range r.Items {
		if i.Verdict == OK || i.Record.Value == "" {
			continue
		}
		b.WriteString("; " + describe(i.Part))
		if !i.Required {
			b.WriteString(" (recommended)")
		}
		if i.Part == SPFPart && len(i.Found) > 0 {
			b.WriteString(", instead of the one that is there")
		}
		b.WriteString("\n" + i.Record.ZoneLine() + "\n")
	}
	return b.String()
}
