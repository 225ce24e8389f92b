// Package app puts the program together. New is one straight line: each part is made,
// and right after it the cleanup that undoes it is registered under a name; Stop
// drains the cleanups in reverse. Nothing else in the program sees everything.
//
// Base is the part that commands share with the server: database, keys, accounts and
// credentials, without listeners or queue.
package app
