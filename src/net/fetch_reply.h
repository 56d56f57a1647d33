/* fetch_reply.h - reading a reply piece by piece, however it is cut; private to src/net. */
#ifndef ATTESTD_NET_FETCH_REPLY_H
#define ATTESTD_NET_FETCH_REPLY_H

#include "fetch.h"

struct fetch_reader;

/* who: the server as messages name it; borrowed. reply_max: bytes of the body. */
enum err fetch_reader_new(struct fetch_reader **out, const char *who, size_t reply_max, struct why *w) MUST_USE;
/* *done: the reply is complete; nothing behind it is looked at. After a failure only fetch_reader_free() is for it. */
enum err fetch_reader_feed(struct fetch_reader *r, struct bytes x, bool *done, struct why *w) MUST_USE;
/* The connection has ended before that: fine for a body without a length, a truncation otherwise. */
enum err fetch_reader_end(struct fetch_reader *r, struct why *w) MUST_USE;
/* Of a complete reply: the caller's from here on. */
void fetch_reader_take(struct fetch_reader *r, struct fetch_reply *out);
void fetch_reader_free(struct fetch_reader *r); /* wipes; NULL is fine */

#endif
