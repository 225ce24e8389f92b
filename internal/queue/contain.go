package queue

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// contain runs something that depends on one mail, one operator or what the database
// says, keeps a panic in it from ending the program, and reports whether there was none.
// It is used where what was interrupted comes back: as a failed attempt, by a timer, with
// the next round of a loop, or as a stray lease.
//
// Not contained are the steps under q.mu that follow a session or a claim. Half done
// they would leave counts wrong for good, and a restart finds everything in the
// database again.
func (q *Queue) contain(doing string, about slog.Attr, do func()) (done bool) {
	defer func() {
		if p := recover(); p != nil {
			q.log.LogAttrs(context.Background(), slog.LevelError, "panic in the queue", slog.String("doing", doing), about,
				slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		}
	}()
	do()
	return true
}

// round runs what is done again and again.
func (q *Queue) round(doing string, do func()) { q.contain(doing, slog.Attr{}, do) }
