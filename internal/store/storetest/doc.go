// Package storetest opens databases for tests, on both engines, and holds the suite
// that store and store/system have to pass on each of them.
//
// A package that uses it has in its tests:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// and then Each, OpenSQLite or OpenPostgres. PostgreSQL is started from the installed
// server binaries at the first use, once per test process, in a directory of its own,
// and stopped by Main. Without the binaries its tests are skipped, except where the
// environment says CI: there they fail.
package storetest
