// Package secret keeps secrets secret: it seals values with the instance key for
// storage and holds passwords in memory in a form that cannot be printed.
//
// The instance key is 32 random bytes, written as one line of base64 or hex. It
// lives in a file of the data directory (Create, Load) or in a setting (Parse),
// never in the database. Its life, in order:
//
//  1. Create makes the key of a new installation, or Load and Parse read an
//     existing one; either way the result is a Ring.
//  2. Ring.KeyCheck goes into the database once. A later start compares it
//     (Ring.HasKeyCheck) and refuses to run with a key that opens nothing.
//  3. Ring.Seal encrypts a value for one place, named by its context, and Ring.Open
//     decrypts it for the same place only, so that a sealed value copied into
//     another row is worthless.
//  4. Ring.Derive gives independent keys for other uses (VERP, credential hashes).
//  5. To rotate, the new key is written in front of the old one, on a line of its
//     own or with a comma between them. Seal and Derive use the first; Open knows
//     all; Ring.Stale finds what is still to be sealed again.
//
// No error of this package holds a key or a plaintext.
package secret
