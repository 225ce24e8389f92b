// Package api is the REST API, version 1, and its description: OpenAPI 3.1 made from
// the Go types at /openapi.json and /openapi.yaml, and a page to read at /docs that
// loads nothing from elsewhere.
//
// A request goes through these steps:
//
//  1. observe sets the headers every answer has, catches panics and writes the log;
//  2. a path or method that does not exist is answered (unmatched);
//  3. access finds out who asks: the bearer key, the scope that rules asks for, and the
//     operator it works for, whose account is read; what changes something is counted;
//  4. body reads the request body within its size, its time and the memory budget, and
//     checks it against the schema before anything is decoded (checker); unknown fields
//     are refused;
//  5. huma decodes it, and checks the parameters;
//  6. the handler works for one operator and returns a value, or an error that problem
//     turns into application/problem+json (RFC 9457).
//
// Every handler takes the operator from the caller, never from the request: there is no
// query without it.
package api
