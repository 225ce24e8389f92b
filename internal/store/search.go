package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// MessageFilter picks messages; its zero value picks all of an operator. Conditions
// are joined by "and".
type MessageFilter struct {
	Recipient string // exact, "prefix*", or "@domain"
	Subject   string // a word of the subject, or several that must all be there; case does not matter
	Kind      waypost.Kind
	State     waypost.State // of at least one delivery
	Tag       string
	BatchID   string
	From, To  time.Time // accepted from (included) to (not included); zero for no bound
	Cursor    string    // MessagePage.Next of the page before
	Limit     int       // 0 means 50, at most 1,000
}

// MessageSummary is a message in a listing.
type MessageSummary struct {
	waypost.Message
	Recipients int                   // deliveries it has
	Recipient  string                // one of them
	States     map[waypost.State]int // deliveries by state
}

// MessagePage is one page of a listing, newest first.
type MessagePage struct {
	Messages  []MessageSummary
	Next      string // Cursor of what follows, "" at the end
	Truncated bool   // the scan bound was hit: Next goes on where it stopped, except for "prefix*"
}

const (
	// scanBound is how many messages one call looks at one after the other, and scanFound
	// how many that an index of deliveries names, which lie further apart; past it the page
	// says so. Either takes some 60 ms (BenchmarkPagesOfALotOfMail).
	scanBound = 10_000
	scanFound = 4_000
	// collectBound is how many ids are collected.
	collectBound = 10_000
	scanChunk    = 500
)

// Messages lists an operator's messages, newest first. What an index cannot answer
// (subject, tag, kind, a common state) is looked for in at most 10,000 messages of the
// chosen period a call.
func (s *Store) Messages(ctx context.Context, operatorID string, f MessageFilter) (MessagePage, error) {
	page, err := s.messages(ctx, operatorID, f)
	if err != nil {
		return MessagePage{}, fmt.Errorf("list messages: %w", err)
	}
	return page, nil
}

func (s *Store) messages(ctx context.Context, operatorID string, f MessageFilter) (MessagePage, error) {
	limit := pageSize(f.Limit)
	scan := newScan(operatorID, f)
	var page MessagePage
	switch {
	case scan.unordered:
		ids, truncated, err := s.collect(ctx, &scan.cond)
		if err != nil {
			return page, err
		}
		scan, page.Truncated = collected(ids, scan.size), truncated
	case scan.queue != nil:
		ids, many, err := s.collectQueued(ctx, scan.queue)
		if err != nil {
			return page, err
		}
		if !many { // or else so much is queued that looking through all messages finds it
			scan = collected(ids, scan.size)
		}
	}
	cursor := Before(f.Cursor)
	for scanned := 0; ; {
		if scanned >= scan.bound {
			page.Truncated, page.Next = true, cursor
			return page, nil
		}
		chunk, err := s.chunk(ctx, scan, cursor, f.matches)
		if err != nil || chunk.rows == 0 {
			return page, err
		}
		for _, m := range chunk.messages {
			if f.State != "" && m.States[f.State] == 0 {
				continue
			}
			if len(page.Messages) == limit {
				page.Next = page.Messages[limit-1].ID
				return page, nil
			}
			page.Messages = append(page.Messages, m)
		}
		scanned += chunk.rows
		cursor = chunk.last
	}
}

// scan is where candidates come from: always newest first, by message id.
type scan struct {
	from      string // FROM clause; messages are m
	id        string // the column that gives the message id and the order
	cond      where
	size      int      // candidates read at once
	bound     int      // candidates looked at by one call
	unordered bool     // the index gives no order: collect the ids first
	queue     []where  // parts of the queue whose ids are to be collected if there are few
	collected []string // ids, newest first; nil unless they were collected
}

// newScan picks the index that leaves the fewest candidates.
func newScan(operatorID string, f MessageFilter) *scan {
	s := &scan{from: "message m", id: "m.id", size: scanChunk, bound: scanBound}
	if f.Subject == "" && f.Kind == "" && f.State == "" && f.Tag == "" && f.BatchID == "" {
		s.size = min(scanChunk, pageSize(f.Limit)+1) // every candidate matches
	}
	recipient := NormalizeAddress(strings.TrimSpace(f.Recipient))
	byDelivery := func() {
		s.from, s.id, s.bound = "delivery d JOIN message m ON m.id = d.message_id", "d.message_id", scanFound
		s.cond.and("d.operator_id = ?", operatorID)
	}
	switch {
	case strings.HasPrefix(recipient, "@"):
		byDelivery()
		s.cond.and("d.site = ?", recipient[1:])
	case strings.HasSuffix(recipient, "*"):
		byDelivery()
		s.cond.prefix("d.address", strings.TrimSuffix(recipient, "*"))
		s.unordered = true
	case recipient != "":
		byDelivery()
		s.cond.and("d.address = ?", recipient)
	case f.BatchID != "":
		s.cond.and("m.operator_id = ?", operatorID)
		s.cond.and("m.batch_id = ? AND m.batch_id <> ''", f.BatchID)
	case f.State.Final() && f.State != waypost.Delivered:
		byDelivery()
		s.cond.and("d.state = ?", string(f.State))
		s.cond.and("d.state <> 'queued' AND d.state <> 'delivered'") // as the index says it
	default:
		s.cond.and("m.operator_id = ?", operatorID)
	}
	s.cond.period(s.id, f)
	if f.State == waypost.Queued && s.from == "message m" && f.BatchID == "" {
		for _, w := range queueOf(operatorID).parts() {
			w.period("message_id", f)
			s.queue = append(s.queue, w)
		}
	}
	return s
}

// period adds that a message id is of the time that a filter is about.
func (w *where) period(id string, f MessageFilter) {
	if !f.From.IsZero() {
		w.and(id+" >= ?", waypost.FirstIDAt(f.From))
	}
	if !f.To.IsZero() {
		w.and(id+" < ?", waypost.FirstIDAt(f.To))
	}
}

// collected is a scan of messages with given ids.
func collected(ids []string, size int) *scan {
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	return &scan{from: "message m", id: "m.id", size: size, bound: scanFound, collected: append([]string{}, slices.Compact(ids)...)}
}

// collect reads the message ids of an index range of deliveries that is not in their order.
func (s *Store) collect(ctx context.Context, w *where) (ids []string, truncated bool, err error) {
	rows, err := s.engine.Reader().QueryContext(ctx, "SELECT d.message_id FROM delivery d WHERE "+w.text+" LIMIT "+w.arg(collectBound+1), w.args...)
	if err != nil {
		return nil, false, err
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if len(ids) > collectBound {
		ids, truncated = ids[:collectBound], true
	}
	return ids, truncated, err
}

// collectQueued reads the ids of messages with queued deliveries, unless there are many.
func (s *Store) collectQueued(ctx context.Context, queue []where) (all []string, many bool, err error) {
	for _, part := range queue {
		ids, truncated, err := s.collect(ctx, &part)
		if err != nil {
			return nil, false, err
		}
		if all = append(all, ids...); truncated || len(all) > collectBound {
			return nil, true, nil
		}
	}
	return all, false, nil
}

// chunk is some candidates in a row, and those messages among them that match.
type chunk struct {
	rows     int    // looked at; none at the end
	last     string // id of the last one
	messages []MessageSummary
}

// chunk reads the next candidates, those with smaller ids than cursor.
func (s *Store) chunk(ctx context.Context, from *scan, cursor string, matches func(*waypost.Message) bool) (chunk, error) {
	w := where{text: from.cond.text, args: slices.Clone(from.cond.args)}
	if from.collected != nil {
		first, _ := slices.BinarySearchFunc(from.collected, cursor, func(id, cursor string) int {
			if id < cursor {
				return 0
			}
			return -1
		})
		ids := from.collected[first:min(first+from.size, len(from.collected))]
		if len(ids) == 0 {
			return chunk{}, nil
		}
		w.in(from.id, anys(ids))
	} else {
		w.and(from.id+" < ?", cursor)
	}
	rows, err := s.engine.Reader().QueryContext(ctx, "SELECT "+messageFields+" FROM "+from.from+" WHERE "+w.text+
		" ORDER BY "+from.id+" DESC LIMIT "+w.arg(from.size), w.args...)
	if err != nil {
		return chunk{}, err
	}
	var c chunk
	err = engine.Each(rows, func(rows *sql.Rows) error {
		m, err := scanMessage(rows)
		c.rows++
		// Several deliveries of one message follow each other.
		if c.last != m.ID && matches(&m) {
			c.messages = append(c.messages, MessageSummary{Message: m})
		}
		c.last = m.ID
		return err
	})
	if err != nil || len(c.messages) == 0 {
		return c, err
	}
	return c, s.summarize(ctx, c.messages)
}

// summarize adds the deliveries' states.
func (s *Store) summarize(ctx context.Context, chunk []MessageSummary) error {
	byID := make(map[string]*MessageSummary, len(chunk))
	ids := make([]string, len(chunk))
	for i := range chunk {
		chunk[i].States = map[waypost.State]int{}
		byID[chunk[i].ID], ids[i] = &chunk[i], chunk[i].ID
	}
	var w where
	w.in("message_id", anys(ids))
	rows, err := s.engine.Reader().QueryContext(ctx,
		"SELECT message_id, state, COUNT(*), MIN(recipient) FROM delivery WHERE "+w.text+" GROUP BY message_id, state", w.args...)
	if err != nil {
		return err
	}
	return engine.Each(rows, func(rows *sql.Rows) error {
		var id, recipient string
		var state waypost.State
		var n int
		if err := rows.Scan(&id, &state, &n, &recipient); err != nil {
			return err
		}
		m := byID[id]
		m.Recipients += n
		m.States[state] += n
		if m.Recipient == "" || recipient < m.Recipient {
			m.Recipient = recipient
		}
		return nil
	})
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// matches is the part of a filter that no index answers.
func (f MessageFilter) matches(m *waypost.Message) bool {
	switch {
	case f.Kind != "" && m.Kind != f.Kind,
		f.BatchID != "" && m.BatchID != f.BatchID,
		f.Tag != "" && !slices.Contains(m.Tags, f.Tag):
		return false
	case f.Subject == "":
		return true
	}
	have := words(m.Subject)
	for _, word := range words(f.Subject) {
		if !slices.Contains(have, word) {
			return false
		}
	}
	return true
}

// words splits a text at what is neither letter, digit nor mark, and folds case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}
