// Package engine is what lies under the SQL: it opens SQLite or PostgreSQL, brings
// the schema up to date, reads through a pool, and commits every write of the
// process through one group committer. Only store and store/system import it.
//
// A write goes like this:
//
//  1. a caller puts an item on a Queue (Accepts, Finishes, Calls ...) and waits;
//  2. the committer takes everything that waits, of every queue, begins one
//     transaction, lets each queue apply its items together, and commits: one
//     fsync for all of them;
//  3. all callers get their answer;
//  4. if applying or committing failed, each item is tried in a transaction of its
//     own, so that only the culprit gets the error.
//
// No function of this package talks to anything but the database.
package engine
