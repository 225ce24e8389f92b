package verify

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	// RFC 7208 section 12: name.
	reModifierName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
	// RFC 7208 section 12: toplabel, which an address does not end with.
	reTopLabel = regexp.MustCompile(`^(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])$`)
	// RFC 7208 section 12: dual-cidr-length.
	rePrefixes = regexp.MustCompile(`(?:/([0-9]+))?(?://([0-9]+))?$`)
)

// isMechanism reports whether name is one of RFC 7208 section 5.
func isMechanism(name string) bool {
	switch name {
	case "all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists":
		return true
	}
	return false
}

// parseSPFTerm reads a term (RFC 7208 section 4.6.1).
func parseSPFTerm(text string) SPFTerm {
	t := SPFTerm{Text: text}
	reason := unwritable(text)
	if name, value, ok := strings.Cut(text, "="); ok && reModifierName.MatchString(name) {
		t.Modifier, t.Name, t.Value = true, strings.ToLower(name), value
		if reason == "" {
			reason = t.modifierFault()
		}
	} else {
		t.Qualifier = '+'
		rest := text
		if strings.IndexByte("+-~?", rest[0]) >= 0 {
			t.Qualifier, rest = rest[0], rest[1:]
		}
		end := strings.IndexAny(rest, ":/")
		if end < 0 {
			end = len(rest)
		}
		t.Name = strings.ToLower(rest[:end])
		if reason == "" {
			reason = t.mechanismFault(rest[end:])
		}
	}
	if reason != "" {
		t.Err = &SPFSyntaxError{Term: text, Reason: reason, Instead: meantSPF(text)}
	}
	return t
}

// unwritable is about bytes that no term may have (RFC 7208 section 7.1: visible ASCII).
func unwritable(text string) SPFFault {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\t' || c == '\n' || c == '\r':
			return faultSeparator
		case c < 0x21 || c == 0x7f:
			return faultControl
		case c > 0x7f:
			return faultNotASCII
		}
	}
	return ""
}

func (t *SPFTerm) modifierFault() SPFFault {
	switch t.Name {
	case "redirect", "exp":
		return domainFault(t.Value)
	}
	_, fault := macros(t.Value) // RFC 7208 section 6: unknown modifiers are ignored, if they are well-formed
	return fault
}

// mechanismFault fills Value and Prefix from what follows the name.
func (t *SPFTerm) mechanismFault(rest string) SPFFault {
	value, given := strings.CutPrefix(rest, ":")
	switch t.Name {
	case "all":
		if rest != "" {
			return faultAllMore
		}
		return ""
	case "include", "exists":
		t.Value = value
		if !given || value == "" {
			return faultNothing
		}
		return domainFault(value)
	case "ptr":
		t.Value = value
		if rest == "" {
			return ""
		}
		return domainFault(value)
	case "a", "mx":
		t.Value, t.Prefix = cutPrefixLength(value)
		if fault := prefixFault(t.Prefix); fault != "" {
			return fault
		}
		if !given && t.Value == "" {
			return ""
		}
		return domainFault(t.Value)
	case "ip4", "ip6":
		var slash bool
		if t.Value, t.Prefix, slash = strings.Cut(value, "/"); slash {
			t.Prefix = "/" + t.Prefix
		}
		return t.addressFault()
	}
	return faultMechanism
}

func (t *SPFTerm) addressFault() SPFFault {
	fault, length, bits := faultIPv4, faultLength4, 32
	if t.Name == "ip6" {
		fault, length, bits = faultIPv6, faultLength6, 128
	}
	addr, err := netip.ParseAddr(t.Value)
	if err != nil || addr.Is4() != (t.Name == "ip4") || addr.Zone() != "" {
		return fault
	}
	if t.Prefix != "" && !isPrefixLength(strings.TrimPrefix(t.Prefix, "/"), bits) {
		return length
	}
	return ""
}

// cutPrefixLength cuts prefix lengths off the end. A slash elsewhere is part of the name,
// as far as RFC 7208 is concerned.
func cutPrefixLength(s string) (value, prefix string) {
	at := rePrefixes.FindStringIndex(s)[0]
	return s[:at], s[at:]
}

func prefixFault(s string) SPFFault {
	m := rePrefixes.FindStringSubmatch(s)
	if m[1] != "" && !isPrefixLength(m[1], 32) || m[2] != "" && !isPrefixLength(m[2], 128) {
		return faultLength
	}
	return ""
}

func isPrefixLength(s string, most int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 0 && n <= most && strconv.Itoa(n) == s // no sign, no leading zeros
}

// domainFault checks a domain-spec (RFC 7208 section 7.1): it ends with a macro or with
// a dot and a top label.
func domainFault(spec string) SPFFault {
	if spec == "" {
		return faultNoName
	}
	pieces, fault := macros(spec)
	if fault != "" {
		return fault
	}
	for _, p := range pieces {
		// RFC 7208 section 7.2: these are for the text that exp= leads to.
		if p.letter == 'c' || p.letter == 'r' || p.letter == 't' {
			return faultMacroHere
		}
	}
	last := pieces[len(pieces)-1]
	if last.letter != 0 || last.escape {
		return ""
	}
	name := strings.TrimSuffix(last.text, ".")
	dot := strings.LastIndexByte(name, '.')
	switch {
	case dot < 0:
		return faultNotFull
	case reTopLabel.MatchString(name[dot+1:]):
		return ""
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return faultAddress
	}
	return faultNotName
}

// meantSPF guesses what a term that is not valid was meant to be.
func meantSPF(text string) string {
	lower := strings.ToLower(text)
	if isNearlyAll(text) {
		switch c := lower[0]; {
		case c == '?':
			return "?all"
		case c == '-' || c > 0x7f: // a dash of a word processor
			return "-all"
		}
		return "~all"
	}
	qualifier := ""
	if strings.IndexByte("+-~?", lower[0]) >= 0 {
		qualifier, lower = lower[:1], lower[1:]
	}
	rest := strings.Trim(lower, "\"',;")
	if name, value, ok := strings.Cut(rest, ":"); ok {
		switch name {
		case "ip", "ip4", "ip6", "ipv4", "ipv6", "a", "mx", "include":
			if term := addressTerm(value); term != "" {
				return qualifier + term
			}
		}
	}
	if term := addressTerm(rest); term != "" {
		return qualifier + term
	}
	if t := rest; t != lower && t != "" && parseSPFTerm(t).Err == nil {
		return qualifier + t
	}
	return ""
}

// addressTerm is the mechanism for an address or network, "" if s is none.
func addressTerm(s string) string {
	s = strings.Trim(s, "\"',;[]")
	addr, err := netip.ParseAddr(s)
	if err != nil {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			return ""
		}
		addr = network.Addr()
	}
	if addr.Zone() != "" {
		return ""
	}
	if addr.Is4() {
		return "ip4:" + s
	}
	return "ip6:" + s
}

// isNearlyAll reports whether a term is all but for signs around it: "all.", "–all".
func isNearlyAll(text string) bool {
	letters := strings.TrimFunc(strings.ToLower(text), func(r rune) bool { return r < 'a' || r > 'z' })
	return letters == "all" && len(text) <= 2*len("all") && !strings.ContainsAny(text, "/:=")
}
