package system

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// backlogBound is up to how many rows of one key are counted.
	backlogBound = 1000

	// keyBound is how many keys a page of deliveries visits: each costs two descents of the
	// claim index.
	keyBound = 2000

	lastSite = "\U0010FFFF" // sorts after every site
)

// keyScan visits the keys of one lane that a filter picks, in order, by a loose scan of
// the claim index. With a domain it costs two descents for each operator with mail there
// or elsewhere.
type keyScan struct {
	r       engine.Reader
	f       waypost.QueueFilter
	most    int // how many keys may be visited, 0 for any number
	visited int
}

// errKeyBound says that a call has visited as many keys as it may.
var errKeyBound = errors.New("too many keys")

// next returns the first key of a lane after another one; ok is false at the end of what
// the filter picks.
func (s *keyScan) next(ctx context.Context, after Key) (k Key, ok bool, err error) {
	if s.f.OperatorID != "" && after.OperatorID < s.f.OperatorID {
		after.OperatorID, after.Site = s.f.OperatorID, ""
	}
	if s.f.Domain != "" && after.Site >= s.f.Domain {
		after.Site = lastSite
	}
	afterAt := int64(math.MaxInt64) // see Due
	for {
		if s.visited++; s.most > 0 && s.visited > s.most {
			return k, false, errKeyBound
		}
		err := s.r.QueryRowContext(ctx, `SELECT lane, operator_id, site FROM delivery
WHERE state = 'queued' AND lease = '' AND NOT held AND (lane, operator_id, site, next_at) > ($1, $2, $3, $4)
ORDER BY lane, operator_id, site, next_at LIMIT 1`, after.Lane, after.OperatorID, after.Site, afterAt).Scan(&k.Lane, &k.OperatorID, &k.Site)
		if errors.Is(err, sql.ErrNoRows) {
			return k, false, nil
		}
		if err != nil {
			return k, false, err
		}
		switch {
		case k.Lane != after.Lane, s.f.OperatorID != "" && k.OperatorID != s.f.OperatorID:
			return k, false, nil
		case s.f.Domain == "" || k.Site == s.f.Domain:
			return k, true, nil
		case k.Site > s.f.Domain: // not at this operator
			after, afterAt = Key{Lane: k.Lane, OperatorID: k.OperatorID, Site: lastSite}, math.MaxInt64
		default:
			after, afterAt = Key{Lane: k.Lane, OperatorID: k.OperatorID, Site: s.f.Domain}, -1
		}
	}
}

func lanesOf(f waypost.QueueFilter) []waypost.Lane {
	if f.Lane != "" {
		return []waypost.Lane{f.Lane}
	}
	return waypost.Lanes()
}

// Backlogs lists what waits in rows and is not held, by operator and site in this order,
// all lanes together. The state of the filter does not count. next continues the listing,
// "" at its end.
func (y *System) Backlogs(ctx context.Context, f waypost.QueueFilter, cursor string, limit int) (list []waypost.Backlog, next string, err error) {
	f.Domain = strings.ToLower(f.Domain)
	operator, site, _ := strings.Cut(cursor, "|")
	err = y.engine.Snapshot(ctx, func(r engine.Reader) error {
		s := &keyScan{r: r, f: f}
		heads := map[int]Key{} // by lane
		advance := func(after Key) error {
			delete(heads, after.Lane)
			k, ok, err := s.next(ctx, after)
			if ok {
				heads[k.Lane] = k
			}
			return err
		}
		for _, lane := range lanesOf(f) {
			if err := advance(Key{Lane: lane.Rank(), OperatorID: operator, Site: site}); err != nil {
				return err
			}
		}
		for len(heads) > 0 && len(list) < pageSize(limit) {
			var first Key
			for _, k := range heads {
				if first == (Key{}) || k.OperatorID < first.OperatorID || k.OperatorID == first.OperatorID && k.Site < first.Site {
					first = k
				}
			}
			b := waypost.Backlog{OperatorID: first.OperatorID, Site: first.Site}
			for _, lane := range lanesOf(f) {
				if k, ok := heads[lane.Rank()]; ok && k.OperatorID == b.OperatorID && k.Site == b.Site {
					if err := countBacklog(ctx, r, k, &b); err != nil {
						return err
					}
					if err := advance(k); err != nil {
						return err
					}
				}
			}
			list = append(list, b)
			next = b.OperatorID + "|" + b.Site
		}
		if len(heads) == 0 {
			next = ""
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list backlogs: %w", err)
	}
	return list, next, nil
}

// countBacklog adds the rows of a key.
func countBacklog(ctx context.Context, r engine.Reader, k Key, b *waypost.Backlog) error {
	const rows = "FROM delivery WHERE state = 'queued' AND lease = '' AND NOT held AND lane = $1 AND operator_id = $2 AND site = $3"
	var n int64
	var oldest string
	var soonest int64
	if err := r.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(MIN(id), ''), COALESCE(MIN(next_at), 0) FROM (SELECT id, next_at "+rows+
		" ORDER BY next_at LIMIT $4) AS bounded", k.Lane, k.OperatorID, k.Site, backlogBound+1).Scan(&n, &oldest, &soonest); err != nil {
		return err
	}
	if n > backlogBound {
		n, b.More = backlogBound, true
	}
	b.Waiting += n
	if at := idTime(oldest); b.Oldest.IsZero() || at.Before(b.Oldest) {
		b.Oldest = at
	}
	if at := waypost.FromMillis(soonest); b.Next.IsZero() || at.Before(b.Next) {
		b.Next = at
	}
	for _, order := range []string{" ORDER BY next_at DESC LIMIT 1", " ORDER BY next_at LIMIT 1"} { // what was tried last is due last
		if b.Reason != "" {
			break
		}
		err := r.QueryRowContext(ctx, "SELECT reason "+rows+order, k.Lane, k.OperatorID, k.Site).Scan(&b.Reason)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

// idTime is when an id was made, zero if it is none of ours.
func idTime(id string) time.Time {
	b, ok := waypost.ParseID(id)
	if !ok {
		return time.Time{}
	}
	return waypost.FromMillis(int64(binary.BigEndian.Uint64(b[:8]) >> 16))
}

// QueueSize is how much of an operator's mail is queued.
type QueueSize = waypost.QueueSize

// QueueSizes lists the operators with the most queued mail, by the counters.
func (y *System) QueueSizes(ctx context.Context, limit int) ([]QueueSize, error) {
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT c.operator_id, COALESCE(o.name, ''), c.queued FROM (
  SELECT operator_id, CAST(SUM(accepted - delivered - bounced - expired - cancelled - suppressed - uncertain) AS bigint) AS queued
  FROM counter GROUP BY operator_id) AS c LEFT JOIN operator o ON o.id = c.operator_id
WHERE c.queued > 0 ORDER BY c.queued DESC, c.operator_id LIMIT $1`, pageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("list queue sizes: %w", err)
	}
	var list []QueueSize
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var q QueueSize
		err := rows.Scan(&q.OperatorID, &q.Name, &q.Queued)
		list = append(list, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list queue sizes: %w", err)
	}
	return list, nil
}

// listKeyed is QueueList for a filter by operator, domain or both: it runs through the
// keys that it picks, then through what is held and what is leased. A cursor is
// "key|lane|operator|site|next_at|id" in the first part.
func (y *System) listKeyed(ctx context.Context, f waypost.QueueFilter, cursor string, limit int) (list []waypost.Delivery, next string, err error) {
	f.Domain = strings.ToLower(f.Domain)
	part, rest, _ := strings.Cut(cursor, "|")
	if part == "" || part == "key" {
		list, next, err = y.listKeys(ctx, f, strings.Split(rest, "|"), limit)
		if err != nil || next != "" || f.State != "" {
			return list, next, err
		}
		cursor = ""
	}
	held, leased := sources(waypost.QueueHeld), sources(waypost.QueueLeased)
	return scanSources(ctx, y.engine.Reader(), f, slices.Concat(held, leased), cursor, limit, "", list)
}

// listKeys lists rows of keys after a place: lane, operator, site, next_at and id.
func (y *System) listKeys(ctx context.Context, f waypost.QueueFilter, place []string, limit int) (list []waypost.Delivery, next string, err error) {
	cond := ""
	switch f.State {
	case waypost.QueueDeferred:
		cond = " AND attempts > 0"
	case waypost.QueueScheduled:
		cond = " AND attempts = 0"
	default:
	}
	s := &keyScan{r: y.engine.Reader(), f: f, most: keyBound}
	// rows lists the rows of a key after a place in it.
	rows := func(k Key, nextAt int64, id string) error {
		found, err := s.r.QueryContext(ctx, "SELECT "+store.DeliveryColumns+` FROM delivery
WHERE state = 'queued' AND lease = '' AND NOT held AND lane = $1 AND operator_id = $2 AND site = $3 AND next_at >= $4
  AND (next_at > $4 OR id > $5)`+cond+" ORDER BY next_at, id LIMIT $6", k.Lane, k.OperatorID, k.Site, nextAt, id, limit-len(list)+1)
		if err != nil {
			return err
		}
		if list, err = store.ScanDeliveries(found, list); err != nil || len(list) <= limit {
			return err
		}
		list = list[:limit]
		last := list[limit-1] // of this key or an earlier one
		next = strings.Join([]string{"key", strconv.Itoa(last.Lane.Rank()), last.OperatorID, last.Site, strconv.FormatInt(waypost.Millis(last.NextAt), 10), last.ID}, "|")
		return nil
	}
	from := 0
	var after Key
	switch len(place) {
	case 1: // the beginning
	case 5:
		if from, err = strconv.Atoi(place[0]); err != nil {
			return nil, "", errCursor()
		}
		nextAt, err := strconv.ParseInt(place[3], 10, 64)
		if err != nil {
			return nil, "", errCursor()
		}
		after = Key{Lane: from, OperatorID: place[1], Site: place[2]}
		if err := rows(after, nextAt, place[4]); err != nil || next != "" {
			return list, next, wrapList(err)
		}
	default:
		return nil, "", errCursor()
	}
	for _, lane := range lanesOf(f) {
		k := Key{Lane: lane.Rank()}
		switch {
		case k.Lane < from:
			continue
		case k.Lane == from:
			k = after
			k.Lane = from
		}
		for {
			following, ok, err := s.next(ctx, k)
			if errors.Is(err, errKeyBound) { // with what is there already, or an empty page
				return list, strings.Join([]string{"key", strconv.Itoa(k.Lane), k.OperatorID, k.Site, strconv.FormatInt(math.MaxInt64, 10), lastSite}, "|"), nil
			}
			if err != nil {
				return nil, "", wrapList(err)
			}
			if !ok {
				break
			}
			k = following
			if err := rows(k, 0, ""); err != nil || next != "" {
				return list, next, wrapList(err)
			}
		}
	}
	return list, "", nil
}

func wrapList(err error) error {
	if err != nil {
		return fmt.Errorf("list queue: %w", err)
	}
	return nil
}
