/* internal.h - what the files of src/http share. */
#ifndef ATTESTD_HTTP_INTERNAL_H
#define ATTESTD_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "http.h"
#include "net.h"

/* What a connection's client owes us, and until when. One list each: a constant time makes appending keep it sorted. */
enum owed { OWED_HEADER, OWED_NEXT, OWED_BODY, OWED_READING, OWED_LAST_WORDS, OWED_LISTS, OWED_NOTHING = OWED_LISTS };

struct listener {
	struct net_listener taker;
	struct http_server *server;
	struct http_listener how;
	struct tls_front *front; /* NULL: plain */
};

/* One a connection: libmicrohttpd's socket_context. */
struct conn {
	/* Of libmicrohttpd's descriptor, ours to shut down: tells that the client will send no more. */
	struct loop_io io;
	struct http_server *server;
	const struct listener *from;
	struct tls_peer *peer;	  /* NULL: not TLS */
	struct http_req *request; /* the one that libmicrohttpd has begun and not ended */
	bool hung_up;
	enum owed owed;
	int64_t deadline_ms;
	struct conn *prev, *next;
};

enum {
	KEPT_LENGTH_MAX = 1024, /* bytes of a reply whose response is kept for others */
	KEPT_MAX = 1024,	/* such responses that no request has, of about 2 KiB each */
};

struct conn_list {
	struct conn *first, *last;
	int64_t ms;
};

enum phase {
	PHASE_NEW,    /* request line seen, header not yet complete */
	PHASE_BODY,   /* body bytes are coming, kept or thrown away */
	PHASE_JOB,    /* a worker has it */
	PHASE_HELD,   /* answered, but the turn's transaction must be committed first */
	PHASE_READY,  /* answered: the reply waits for libmicrohttpd's next call */
	PHASE_QUEUED, /* libmicrohttpd has the reply */
};

/* One a request: libmicrohttpd's request context. */
struct http_req {
	struct http_server *server;
	struct conn *conn;
	struct MHD_Connection *mc;
	enum phase phase;
	bool gone; /* libmicrohttpd is done with it; kept only for a job or the end of the turn */
	bool suspended;
	bool staged;  /* on the server's list of this turn */
	bool close;   /* the connection ends with this reply */
	bool discard; /* the body is read only so that the client sees the reply */
	bool has_body;
	const char *raw_target;	 /* the target in libmicrohttpd's buffer; for guard_check only */
	size_t target_n, path_n; /* bytes of target, and of what is before its '?' */
	const struct http_route *route;
	struct bytes param;
	struct buf body;
	enum http_reach reach;
	char content_type[HTTP_TYPE_MAX + 1];
	uint64_t content_length;     /* as declared; 0 if chunked */
	uint64_t body_seen, charged; /* bytes received, and bytes counted as in flight */
	/* Found by a guard and answered once the body has been read; later, why the turn was not committed in which a
	 * job's request had written. */
	struct why fault;
	struct MHD_Response *reply;
	struct kept *kept; /* whose response it is; NULL: it is this request's own */
	unsigned status;
	const char *code; /* wire code of a problem, for the log */
	size_t reply_n;
	struct http_job *job;
	struct http_req *prev_working, *next_working;
	struct loop_timer job_timer;
	enum loop_lane job_lane;
	int64_t started_us;
	struct http_req *next_staged;
	char target[]; /* as received, NUL-terminated */
};
/* With a target of the usual length a request is one of malloc's small blocks, of at most 1000 bytes: for a larger one
 * glibc first goes over all small ones that are free. */
_Static_assert(sizeof(struct http_req) + 128 <= 1000, "a request stays among the small allocations");

struct http_server {
	struct loop *loop;
	struct log *log;
	struct http_options options;
	int64_t outside_connections, outside_inflight; /* what all but local callers may have together */
	const struct http_route *routes;
	size_t n_routes;
	struct http_store store;
	void *app;
	struct MHD_Daemon *daemon;
	struct loop_io mhd_io;
	struct listener listener[HTTP_LISTENERS_MAX];
	size_t n_listeners;
	const struct listener *accepting; /* valid during MHD_add_connection only */
	int accepting_fd;
	struct tls_peer *accepting_peer;
	struct conn_list owed[OWED_LISTS];
	struct http_req *staged;  /* of this turn */
	struct http_req *working; /* with a worker */
	bool must_run;		  /* something was resumed or answered: libmicrohttpd's own timeout does not know */
	bool draining, abandoned;
	int64_t drain_shut_ms, drain_end_ms;
	void (*drained)(void *ctx);
	void *drained_ctx;
	int64_t inflight[HTTP_REACHES];
	struct http_counters count;
	struct kept *kept[KEPT_LENGTH_MAX + 1]; /* by length; nobody's for the moment */
	size_t n_kept, kept_evict;
};

/* conn.c */
void conn_started(struct http_server *s, void **slot);
void conn_ended(struct http_server *s, void **slot);
void conn_owes(struct http_server *s, struct conn *c, enum owed what);
/* Shuts down what is late. */
void conn_enforce(struct http_server *s);
/* Milliseconds to the next deadline, -1 for none. */
int64_t conn_wait_ms(const struct http_server *s);
void conn_shut_idle(struct http_server *s);
/* Is there room for one more connection of this reach? */
bool conn_room(const struct http_server *s, enum http_reach reach);
/* Connections that are open, those in their handshake among them. */
uint64_t conn_open(const struct http_server *s);

/* guard.c: everything that makes a request refusable before its body. Fills r->route, r->param, r->has_body,
 * r->content_length, r->content_type and r->body.max, and r->close for a chunked request. *hard: the framing itself
 * cannot be trusted, so answer at once and close. */
enum err guard_check(struct http_req *r, const char *method, const char *version, bool *hard, struct why *w) MUST_USE;
/* Whether there are header lines behind a chunked body. */
bool guard_trailers(const struct http_req *r);

/* route.c: sets r->route and r->param. ERR_NOT_FOUND, or ERR_METHOD if only other methods have this path. */
enum err route_find(struct http_req *r, const char *method, struct why *w) MUST_USE;
/* The Allow header: "GET, HEAD, POST" for r's path on r's reach. */
void route_allow(const struct http_req *r, char *out, size_t n);

/* request.c */
/* The most that a request's body may have; NULL: no route was found. */
size_t request_body_max(const struct http_req *r, const struct http_route *route);
enum MHD_Result request_step(void *server, struct MHD_Connection *mc, const char *url, const char *method,
			     const char *version, const char *data, size_t *n, void **slot);
void *request_line(void *server, const char *target, struct MHD_Connection *mc);
void request_ended(void *server, struct MHD_Connection *mc, void **slot, enum MHD_RequestTerminationCode why);
void request_free(struct http_req *r);
/* The turn's transaction ended: every held reply goes, or becomes the problem `failed`. True if any was let go. */
bool request_settle(struct http_server *s, const struct why *failed);
/* What workers still hold is answered 503: libmicrohttpd must not be stopped with a suspended connection. */
void request_abandon_all(struct http_server *s);

/* kept.c: only for what has the headers of http_reply and no others. */
struct kept *kept_take(struct http_server *s, struct bytes body); /* NULL: too long, or there is no memory */
struct MHD_Response *kept_response(const struct kept *k);
const uint8_t *kept_body(const struct kept *k); /* for its test */
/* Once libmicrohttpd is done with the request: the body is wiped. */
void kept_return(struct http_server *s, struct kept *k);
void kept_free(struct http_server *s);

/* reply.c */
#define HTTP_JSON "application/json"
void reply_drop(struct http_req *r);
/* Those that every reply has. */
bool reply_headers(struct MHD_Response *resp, const char *type) MUST_USE;
/* The problem document, RFC 9457. */
void reply_problem(const struct why *w, struct buf *out);

#endif
