package view

import "time"

// Audit is the log of what was changed.
type Audit struct {
	Rows        []AuditRow
	Platform    bool // of all operators
	Operator    Field
	Names       []Name
	Shown       string // the operator that it is limited to
	First, Next string
}

// AuditRow is one change.
type AuditRow struct {
	At                     time.Time
	Who, Peer              string
	What, Target, Detail   string
	Operator, OperatorPath string // where the log is of all
}
