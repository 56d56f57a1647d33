/* remote.h - asking a server one thing, and what it says when it refuses. Private to src/cmd. */
#ifndef ATTESTD_CMD_REMOTE_H
#define ATTESTD_CMD_REMOTE_H

#include "fetch.h"

/* A reply of no particular length is at most REMOTE_REPLY_MAX. What repeats n bytes that were sent is at most
 * remote_echo_max(n): a byte of custom data comes back as six and, escaped, as seven, a double of four as 36. */
enum { REMOTE_REPLY_MAX = 1024 * 1024, REMOTE_ECHO = 16 };
static inline size_t remote_echo_max(size_t n)
{
	return REMOTE_REPLY_MAX + n * REMOTE_ECHO;
}

struct remote {
	struct fetch_url url;
	struct clock clock;
	int64_t timeout_ms; /* of one exchange */
	/* Of a URL with TLS, set by the caller after remote_init; borrowed. */
	struct tls_identity *own;	/* NULL: none */
	const uint8_t *server_key_hash; /* NULL: any will do, and is compared later or not at all */
};

/* ERR_USAGE for a text that is no URL names the option. */
enum err remote_init(struct remote *r, const char *option, const char *url, struct why *w) MUST_USE;
/* The same of --url for a server to which plaintext goes: ERR_USAGE, too, unless it is on this machine, and no TLS. */
enum err remote_init_local(struct remote *r, const char *url, struct why *w) MUST_USE;
/* One exchange that must end in 200. json.p == NULL: without a body. `out` is made here with room for `max` bytes and
 * freed by the caller in any case. ERR_ENVIRONMENT: nobody answers, or the server fails (5xx). ERR_NOT_FOUND: 404 and
 * 405. ERR_SESSION: 401. ERR_INVALID: every other status. Each with what the server has to say. */
enum err remote_ask(const struct remote *r, const char *method, const char *path, struct bytes json, size_t max,
		    struct buf *out, struct why *w) MUST_USE;
/* The same, and who answered: the caller's; NULL without TLS. */
enum err remote_ask_peer(const struct remote *r, const char *method, const char *path, struct bytes json, size_t max,
			 struct buf *out, struct tls_peer **peer, struct why *w) MUST_USE;

#endif
