/* http.h - the only user of libmicrohttpd: connections, guards, routing, bodies, replies.
 *
 * The server is the loop's guest (loop.h). Connections come from our own listeners and are handed to libmicrohttpd, so
 * TCP, Unix sockets and socket activation are all alike. Each listener has a reach; a route is unknown (404) where it
 * has none. Guards run on the first call of a request, over all its headers, before a body byte is read.
 *
 * A handler is called once the body is complete. It answers with exactly one of http_reply, http_reply_stream,
 * http_fail, or http_defer; after http_defer, `then` has the same duty. A reply made while the store's transaction is
 * open is held until the turn's commit; a failed commit turns it into ERR_STORE.
 *
 * Nothing here or below knows SQL; handlers never see libmicrohttpd or a socket.
 */
#ifndef ATTESTD_HTTP_H
#define ATTESTD_HTTP_H

#include "base/log.h"
#include "loop.h"
#include "tls_front.h"

/* A reach's place in arrays of HTTP_REACHES. */
enum http_reach_at { HTTP_AT_LOCAL, HTTP_AT_PUBLIC, HTTP_AT_TLS, HTTP_AT_PEER, HTTP_AT_PEER_TLS, HTTP_REACHES };
/* Reach belongs to the listener's config key, never to its address. */
enum http_reach {
	HTTP_LOCAL = 1u << HTTP_AT_LOCAL,
	HTTP_PUBLIC = 1u << HTTP_AT_PUBLIC,
	HTTP_TLS = 1u << HTTP_AT_TLS,
	HTTP_PEER = 1u << HTTP_AT_PEER,		/* where enclaves exchange reports */
	HTTP_PEER_TLS = 1u << HTTP_AT_PEER_TLS, /* and where they meet: mutual TLS */
};
static inline size_t http_reach_index(enum http_reach r)
{
	return (size_t)__builtin_ctz((unsigned)r);
}
const char *http_reach_name(size_t index); /* "local", "public", "tls", "peer", "peer_tls" */

enum {
	HTTP_POOL = 8192,	      /* bytes of libmicrohttpd's memory a connection: bounds the header */
	HTTP_QUERY_MAX = 4096,	      /* decoded bytes of one query parameter */
	HTTP_PUBLIC_BODY_MAX = 65536, /* the largest body on any public listener */
	HTTP_DISCARD_MAX = 1 << 20,   /* an over-long body is read this much further, so that its sender sees the 413 */
	HTTP_HEAVY_BODY = 256 * 1024, /* larger bodies are worked on by a worker */
	HTTP_LISTENERS_MAX = 8,
	HTTP_TYPE_MAX = 128, /* bytes of a raw body's Content-Type */
};

struct http_server;
struct http_req;

typedef void http_handler(void *app, struct http_req *r);

enum http_body {
	HTTP_NO_BODY,
	HTTP_JSON_BODY, /* up to max_body locally, HTTP_PUBLIC_BODY_MAX elsewhere */
	HTTP_RAW_BODY,	/* of any type, or none; up to max_raw_body */
};

struct http_route {
	const char *method; /* GET, POST, DELETE; GET answers HEAD too */
	const char *path;   /* "/sessions/{session_id}": one parameter at most, a whole segment */
	unsigned reach;	    /* mask of enum http_reach */
	enum http_body body;
	http_handler *handler;
};

/* What the server asks of the storage behind the handlers. */
struct http_store {
	void *ctx;
	bool (*dirty)(void *ctx);		      /* a transaction is open */
	enum err (*commit)(void *ctx, struct why *w); /* ends the turn's transaction */
};

struct http_options {
	int64_t max_body, max_raw_body, max_inflight, max_connections;
	struct {
		int64_t inflight, connections;
	} share[HTTP_REACHES]; /* of the two above, at most; local callers may have all */
	int64_t header_ms, idle_ms, body_ms, reply_ms;
};

struct http_counters {
	uint64_t requests[HTTP_REACHES], replies[6]; /* by status class, index status / 100 */
	uint64_t connections_open[HTTP_REACHES], connections_total[HTTP_REACHES], connections_refused[HTTP_REACHES];
	uint64_t timeouts, inflight_bytes, aborted, commits_failed;
	uint64_t duration_us_sum; /* from complete header to the reply's being queued */
};

/* routes, store, log and loop are borrowed. app is handed to the handlers. Sets itself as the loop's guest. */
enum err http_new(struct http_server **out, struct loop *loop, struct log *log, const struct http_options *o,
		  const struct http_route *routes, size_t n_routes, const struct http_store *store, void *app,
		  struct why *w) MUST_USE;
/* Answers 503 for whatever workers still hold. To be called before loop_end_jobs, so that nothing is begun any more. */
void http_abandon(struct http_server *s);
void http_free(struct http_server *s); /* after the drain; NULL is fine */

struct http_listener {
	enum http_reach reach;
	bool any_host;		/* any single Host is accepted, as on Unix sockets and vsock */
	const char *hosts;	/* names that are accepted beside loopback's, with commas between them; "" for none */
	struct tls_server *tls; /* NULL: plain */
	struct tls_front_limits tls_limits;
};
/* Takes the listening descriptor over; hosts and tls are borrowed. */
enum err http_listen(struct http_server *s, int fd, const struct http_listener *l, struct why *w) MUST_USE;
/* Of all TLS listeners of a reach. */
void http_count_tls(const struct http_server *s, enum http_reach reach, struct tls_front_counters *out);
/* Stops accepting; every reply closes its connection; `drained` is called once on the loop's thread when all requests
 * are answered or drain_ms have passed. */
void http_drain(struct http_server *s, int64_t drain_ms, void (*drained)(void *ctx), void *ctx);

void http_count(const struct http_server *s, struct http_counters *out);

/* ---- a request, seen from a handler ---- */
enum http_reach http_req_reach(const struct http_req *r);
bool http_body_heavy(const struct http_req *r);
const struct tls_peer *http_req_tls(const struct http_req *r); /* NULL: this connection is not TLS */
struct bytes http_content_type(const struct http_req *r);      /* of a raw body; empty if it has none */
void http_take_body(struct http_req *r, struct buf *out);      /* out becomes its owner; still counted as in flight */
/* n more bytes count as in flight until the request ends: what its reply holds that its body did not. Where nothing
 * else is in flight they pass, however many. ERR_BODIES_FULL, told. */
enum err http_charge(struct http_req *r, size_t n, struct why *w) MUST_USE;
struct bytes http_param(const struct http_req *r); /* the path parameter, raw */
/* The decoded query parameter `name`; *present false if absent. Appends to out. ERR_INVALID: given twice, bad percent
 * encoding, too long. */
enum err http_query(const struct http_req *r, const char *name, struct buf *out, bool *present, struct why *w) MUST_USE;
/* ERR_INVALID if the query has a parameter that is not in the NULL-terminated list. */
enum err http_query_only(const struct http_req *r, const char *const *names, struct why *w) MUST_USE;

/* ---- answering ---- */
void http_reply(struct http_req *r, unsigned status, struct buf *json); /* takes the buffer; wiped when sent */
void http_reply_type(struct http_req *r, unsigned status, const char *content_type, struct buf *body);
/* Bytes that outlive the server, e.g. openapi.yaml. */
void http_reply_static(struct http_req *r, const char *content_type, struct bytes body);
/* A reply of exactly `size` bytes, produced as it is sent. read: up to cap bytes, 0 is an error that cuts the
 * connection; free is always called once. */
struct http_stream {
	void *ctx;
	size_t size;
	size_t (*read)(void *ctx, uint8_t *out, size_t cap);
	void (*free)(void *ctx);
};
void http_reply_stream(struct http_req *r, unsigned status, const struct http_stream *s);
void http_fail(struct http_req *r, const struct why *w); /* a problem document, RFC 9457 */

/* ---- work that is not done on the loop ---- */
/* Embedded first in the work's own data. work: on a worker. Then exactly one of: then (on the loop, request alive; owns
 * the data again) or drop (on the loop; the client is gone, or the time was up and 503 was sent: frees the data). Work
 * that nobody waits for any more is not begun. */
struct http_job {
	struct loop_job job;
	void (*work)(struct http_job *j);
	void (*then)(struct http_req *r, struct http_job *j);
	void (*drop)(struct http_job *j);
	/* the server's */
	struct http_server *server;
	struct http_req *req;
	_Atomic bool cancelled;
	enum http_reach reach;
	uint64_t charged; /* in-flight bytes of a request that did not wait */
};
/* ERR_BUSY when the lane is full: the data stays the caller's. timeout_ms 0: none; past it the client gets ERR_NSM on
 * LANE_NSM and ERR_BUSY elsewhere. */
enum err http_defer(struct http_req *r, enum loop_lane lane, struct http_job *j, int64_t timeout_ms,
		    struct why *w) MUST_USE;

#endif
