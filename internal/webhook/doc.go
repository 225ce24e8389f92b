// Package webhook tells operators' endpoints what becomes of their mail. What is to be told
// was written in the transaction of the fact (store.WriteEvents, store.WriteFacts); this
// package sends it, and goes like this:
//
//  1. a commit of this process that wrote something for a webhook says so, and a look at
//     the database each second finds what other processes wrote; either starts a worker for
//     the webhook, unless it has one;
//  2. the worker reads the endpoint, the calls that wait and the events that are in no call,
//     outside of any transaction, and decides: which calls to make of which events, which to
//     repeat;
//  3. one transaction records what became of the attempts before, takes the lease of the
//     endpoint, and makes the new calls: from here on their bytes and their id stay the same;
//  4. each call is signed anew and sent, through the guard, over a slot of the process;
//  5. the worker goes on at 2 until nothing waits, and gives the lease back in the
//     transaction that records the last result.
//
// Order is kept within a chain, which is a message or what else an event is about: nothing
// of a chain is put into a call while another call that has something of it waits. So one
// call that an endpoint does not take holds back its own messages and no others.
//
// An endpoint that fails five times in a row is probed, by one call at a time and ever more
// rarely, and no calls are made for it in advance: an outage leaves events in rows. After
// three days of nothing but failures it is disabled, and its operator is told.
package webhook
