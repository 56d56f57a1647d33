/* start_nsm.h - the NSM at the server's start: what must be sound before anything relies on it. Private to src/cmd. */
#ifndef ATTESTD_CMD_START_NSM_H
#define ATTESTD_CMD_START_NSM_H

#include "api.h"

/* Opens app->nsm as app->config says, with app->clock, crypto and random in place. With a device it seeds the
 * generators, so it comes before anything that makes a key. Loud in the log where attestations prove nothing. An NSM
 * that keeps silent for a second, here or below, is named on stderr. */
enum err start_nsm(struct app *app, struct log *log, struct why *w) MUST_USE;

/* Makes app->verify, and app->attest of what app->config says of the server, with app->nsm open. */
enum err start_attest(struct app *app, struct log *log, struct why *w) MUST_USE;

/* Makes one document by app->attest and logs whether it is verified, and if not, why: so the first request finds that
 * known, and a server whose NSM gives no documents does not start. The dummy has none to give. */
enum err start_first_document(struct app *app, struct log *log, struct why *w) MUST_USE;

/* One line on stderr, whatever is logged, where attestations prove nothing. */
void start_announce(const struct app *app);

#endif
