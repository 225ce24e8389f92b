package view

import "strconv"

func rows(n int) string {
	if n == 0 {
		n = 4
	}
	return strconv.Itoa(n)
}

// alertRole makes screen readers say at once what went wrong.
func alertRole(kind string) string {
	if kind == "danger" {
		return "alert"
	}
	return "note"
}
