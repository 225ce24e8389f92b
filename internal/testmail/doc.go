// Package testmail is a test mail on its way, whoever asked for it: the API, the panel, or
// the platform's support before it approves a sender. One goes like this:
//
//  1. Tester.Send counts it against the operator's limit, finds out where it goes (to the
//     address that was given, or with Verify to a one-time address of this server), writes
//     it and hands it to the accept pipeline with the settings under test. It returns a Run
//     as soon as the mail is accepted;
//  2. the queue tries it once, over exactly these settings, and tells the Run each step and
//     how it ended;
//  3. with Verify the mail comes back through the return path's front door, and the Run
//     gets what a receiver made of it;
//  4. Run.Snapshot says at any time how far it is, Run.Wait waits for its end, and
//     Tester.Find finds it again: for ten minutes in memory, step by step; later, or in
//     another process, only what the store knows of it.
//
// Texts for people are the callers', in their language; a Snapshot has plain values.
package testmail
