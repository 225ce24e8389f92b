// Package provider is the table of mail providers whose SMTP servers operators use: what
// to enter for each, what the provider wants beyond that, and where it says so.
//
// The values are those of the providers' documentation, as of the date each preset carries.
// Where a page names several ways in, the preset has the one it recommends, or
// else implicit TLS (RFC 8314 section 3.3), and Other has the rest that need no more than
// the ports 465, 587 and 2525. Nothing here is enforced: a preset fills a form.
package provider
