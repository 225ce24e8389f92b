package waypost

// Kind is what a mail is about.
type Kind string

// The kinds of mail.
const (
	KindEvent    Kind = "event"
	KindReport   Kind = "report"
	KindBalance  Kind = "balance"
	KindSecurity Kind = "security" // codes, password resets: erased once final
	KindTest     Kind = "test"     // test mails of the settings page: tried once
	KindOther    Kind = "other"
)

// ParseKind returns the kind named s, and whether there is one.
func ParseKind(s string) (Kind, bool) {
	switch k := Kind(s); k {
	case KindEvent, KindReport, KindBalance, KindSecurity, KindTest, KindOther:
		return k, true
	default:
		return "", false
	}
}

// Unsubscribable reports whether recipients can unsubscribe from mail of a kind, and whether
// it offers that unless the submission says otherwise. Codes, password resets and what an
// account is about to run out of are not for anybody to miss.
func (k Kind) Unsubscribable() (can, usually bool) {
	switch k {
	case KindEvent, KindReport:
		return true, true
	case KindOther:
		return true, false
	default:
		return false, false
	}
}

// Lane is the urgency a mail travels with.
type Lane string

// The lanes, most urgent first.
const (
	LaneAlarm         Lane = "alarm"
	LaneTransactional Lane = "transactional"
	LaneReport        Lane = "report"
	LaneBulk          Lane = "bulk"
)

// Lanes lists all lanes, most urgent first. The index of a lane in it is its rank.
func Lanes() []Lane { return []Lane{LaneAlarm, LaneTransactional, LaneReport, LaneBulk} }

// ParseLane returns the lane named s, and whether there is one.
func ParseLane(s string) (Lane, bool) {
	switch l := Lane(s); l {
	case LaneAlarm, LaneTransactional, LaneReport, LaneBulk:
		return l, true
	}
	return "", false
}

// Rank is the lane's place in Lanes: 0 is the most urgent. Storage keeps the rank.
func (l Lane) Rank() int {
	switch l {
	case LaneAlarm:
		return 0
	case LaneReport:
		return 2
	case LaneBulk:
		return 3
	default:
		return 1
	}
}

// LaneOfRank is the inverse of Rank; an unknown rank is transactional.
func LaneOfRank(rank int) Lane {
	lanes := Lanes()
	if rank < 0 || rank >= len(lanes) {
		return LaneTransactional
	}
	return lanes[rank]
}

// Lane returns the lane a kind travels in unless the submission asks otherwise.
func (k Kind) Lane() Lane {
	switch k {
	case KindSecurity:
		return LaneAlarm
	case KindReport:
		return LaneReport
	default:
		return LaneTransactional
	}
}
