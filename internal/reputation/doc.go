// Package reputation judges how operators use the built-in gateway, which they share: who
// mails addresses that do not exist, or people who do not want it, harms the mail of all.
// It is pure; package account reads the figures and keeps what comes out.
//
//  1. Figures of two sliding windows, a day and a week, say what became of an operator's
//     mail: ended, bounced for addresses that do not exist, called spam (GatewayFigures);
//  2. Judge compares their shares with the policy's rates and moves the level: up at once,
//     down by itself after a calm while, from paused never;
//  3. Lift is a person's decision that a pause is over: figures count anew, and so does the
//     age that the limit goes by;
//  4. Limit is how many recipients a day an operator may have on the built-in gateway, by
//     its age and record.
//
// A share counts for what it is beyond doubt: the lower end of its Wilson score interval at
// three standard deviations, which chance undercuts once in 741 cases. So one bounce of
// eight says nothing, 19 of 100 say that it is more than 10 percent, and of 10,000 it takes
// 1,094. Without that, of some hundred small operators with an honest list, one would be
// paused by bad luck every few days.
package reputation
