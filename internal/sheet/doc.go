// Package sheet reads and writes tables as comma-separated values (RFC 4180), as
// spreadsheets and other programs really make and take them.
//
// A Writer lets no spreadsheet find a formula in a cell. A Reader finds out how a file
// separates its cells, says in which line each row begins, and goes on after a row that
// cannot be read.
package sheet
