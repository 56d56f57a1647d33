/* stores.h - what is kept at rest: sessions and private data, the keys that seal them, and the turn's transactions.
 * Private to src/cmd.
 */
#ifndef ATTESTD_CMD_STORES_H
#define ATTESTD_CMD_STORES_H

#include "api.h"

struct stores { /* embedded by value; all zeroes but for app and log is closed */
	struct app *app;
	struct log *log;
	struct store *sessions;
	struct private_store *private_data;  /* NULL: no listener needs it */
	struct session_kek kek, enclave_kek; /* the latter from the environment; key NULL: none */
};

/* ERR_CONFIG where the NSM is real and something is set that an enclave must not have. With app->nsm in place. */
enum err stores_check(const struct stores *s, struct why *w) MUST_USE;
/* Opens app->sessions and, if asked for, app->private_data, with the parts of app in place that they need. */
enum err stores_open(struct stores *s, bool with_private_data, struct why *w) MUST_USE;
void stores_close(struct stores *s); /* app's two as well */
/* The same where workers may still be using app's two: no more than the files and the keys that those do not use. */
void stores_leave(struct stores *s);

/* Of struct http_store; ctx is a struct stores. Two files are two transactions: a turn whose transactions do not both
 * end well is told as failed, though private data, which is committed first, may be stored then. */
bool stores_dirty(void *ctx);
enum err stores_commit(void *ctx, struct why *w) MUST_USE;

#endif
