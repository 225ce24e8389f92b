// Package segment keeps large byte strings in append-only files beside an SQLite
// database, which keeps only where they lie. Written into the database they would be
// written twice, once to its log and once to its pages; here they are written once.
//
// The procedure: what one transaction needs is appended to the active file and synced
// before the transaction commits, so a committed Ref always reads. What a transaction
// that failed appended is dead weight. Bytes are never moved and no file is written to
// again after its process: Erase makes a hole where bytes were, Sweep removes files
// nobody refers to.
package segment
