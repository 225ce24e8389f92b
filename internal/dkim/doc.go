// Package dkim signs mail (RFC 6376) with RSA keys: rsa-sha256, relaxed/relaxed
// (RFC 8301). It does not verify; tests let others judge what it signs.
//
//  1. OpenEngine picks what does the RSA arithmetic: libcrypto.so.3 if it can be
//     opened at run time and its signature convinces crypto/rsa, else crypto/rsa.
//  2. GenerateKey makes a private key to be stored, ParseKey readies a stored one
//     for signing, and Key.Record gives the TXT record to publish for it.
//  3. BodyHash hashes a body once, however many headers it goes out with.
//  4. Signer.Sign, or Signer.SignWithBodyHash, returns the complete
//     DKIM-Signature field, to be put before the header it was given.
//
// The build tag "static" leaves libcrypto out, and with it everything that keeps
// the binary from being fully static.
package dkim
