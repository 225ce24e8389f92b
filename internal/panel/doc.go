// Package panel is the panel in a browser: operators see and change everything about their
// mail, and the platform's staff the same one level up.
//
// A request goes like this:
//
//  1. Forms of other sites are refused (Fetch Metadata, Origin).
//  2. The route says who may (access); the session says who asks.
//  3. What changes something is counted: a person and an operator have limits (writes).
//  4. The handler reads what it shows, from the same services as the API, and makes a view:
//     plain values, nothing that could ask the database. The content of mail waits for
//     memory before it is read (web.Memory).
//  5. The view's component is rendered into memory and sent at once: no half pages.
//
// A form that was filled in wrong comes back with what was typed and the reason at each
// field (422); one that was right leads to a page (303).
package panel

//go:generate templ generate -path .
