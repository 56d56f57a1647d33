/* proxy_parts.h - what the files of the proxy share; private to src/net. */
#ifndef ATTESTD_NET_PROXY_PARTS_H
#define ATTESTD_NET_PROXY_PARTS_H

#include <sys/queue.h>

#include "proxy.h"

enum {
	PROXY_TURN_BYTES = 4 * PROXY_BUFFER, /* one way at a time: no connection starves the others */
	PROXY_BUFFERS_KEPT = 16,	     /* empty ones of each kind, for their next use */
	PROXY_CONN_MAX = 1024,		     /* bytes of memory of a connection through which nothing flows */
};

/* ---- proxy_pump.c: bytes from one end to the other ---- */

enum { CLIENT, TARGET, ENDS };

struct end {
	struct loop_io io; /* edge-triggered; fd is -1 where there is none */
	bool tcp;
	bool readable, writable; /* for all that is known: until EAGAIN */
	bool failed;		 /* nothing that it says from now on is an orderly end */
};

/* What holds bytes on their way: a pipe or a buffer. */
enum buffer_kind { BUFFER_PIPE, BUFFER_MEMORY, BUFFER_KINDS };
struct buffer;
struct buffers {
	struct buffer *kept[BUFFER_KINDS];
	unsigned n_kept[BUFFER_KINDS];
};
void buffers_free(struct buffers *v);

/* The bytes that one end sends. */
struct half {
	struct buffer *held; /* NULL where nothing is */
	bool copies;	     /* one of the two does not splice */
	bool ended;	     /* the sender has said that it is done, */
	bool done;	     /* and the receiver has been told so */
};

struct stream {
	struct end end[ENDS];
	struct half half[ENDS]; /* of what that end sends */
};

enum flow {
	FLOW_WAITS,   /* for an end */
	FLOW_MORE,    /* has had its share of this turn */
	FLOW_STARVED, /* lacks memory */
	FLOW_BROKEN,
};
/* Moves what there is from that end to the other one, PROXY_TURN_BYTES or a little more, and adds to *moved. */
enum flow stream_move(struct buffers *v, struct stream *s, int from, uint64_t *moved);
/* Lets go of what is held. */
void stream_clear(struct buffers *v, struct stream *s);

/* ---- proxy_source.c: who has how many connections ---- */

struct source;
struct sources {
	void *root;
};
/* Counts a connection that was accepted. False: it has `max` already, or there is no memory to count it. */
bool source_enter(struct sources *s, struct source **out, int fd, const struct sockaddr_storage *from, int64_t max);
void source_leave(struct sources *s, struct source *x); /* NULL is fine */

/* ---- proxy.c ---- */

struct conn;
struct look_up;
TAILQ_HEAD(conn_list, conn);
struct direction;
TAILQ_HEAD(direction_list, direction);

struct route {
	struct proxy *proxy;
	struct net_listener listener;
	struct net_target to;
	struct look_up *look_up; /* of its name, under way; NULL: none is */
	bool down;		 /* the last that the log was told about the target */
};

struct proxy {
	struct loop *loop;
	const struct clock *clock;
	struct log *log;
	struct proxy_limits limits;
	struct proxy_counters count;
	struct sources sources;
	struct buffers buffers;
	struct conn_list conns;
	struct direction_list directions; /* of the open ones; whichever has stood still for longest comes first */
	struct conn_list again;		  /* have more to do though no end says so */
	struct loop_timer idle_timer, again_timer, drain_timer;
	bool again_soon; /* again_timer waits for the next turn, not for memory */
	void (*drained)(void *ctx);
	void *drained_ctx;
	size_t n_routes;
	struct route route[PROXY_PAIRS_MAX];
};

/* The last of a proxy that drains has ended. */
void proxy_ended_one(struct proxy *p);
/* conn_move is to be called in the next turn, or after NET_PAUSE_MS. */
void proxy_again(struct proxy *p, struct conn *c, bool soon);

/* ---- proxy_conn.c: a connection ---- */

/* What an end sends of an open connection. Bytes that are held must move on for it to be active; where none are, those
 * of the other direction count, too. */
struct direction {
	struct conn *conn;
	int64_t active_ms; /* when it last was, or began to hold bytes */
	TAILQ_ENTRY(direction) link;
};

struct conn {
	struct proxy *proxy;
	struct route *route;
	struct source *source;
	TAILQ_ENTRY(conn) link, again_link, wait_link;
	bool again;
	enum { CONN_LOOKS_UP, CONN_CONNECTS, CONN_PAUSES, CONN_OPEN } state;
	struct stream stream;
	struct direction direction[ENDS];

	/* Until it is open. */
	struct loop_timer timer;
	struct look_up *look_up; /* waited for while CONN_LOOKS_UP, then what holds addr */
	const struct net_addr *addr;
	size_t n_addr, next_addr;
	int64_t until_ms, pause_ms;
	unsigned tries;
};

/* Takes over fd and source, which leaves with it. */
void conn_start(struct route *r, int fd, bool tcp, struct source *source);
/* Takes fd over, on failure too: conn_close_end. */
enum err conn_open_end(struct conn *c, int end, int fd, bool tcp, struct why *w) MUST_USE;
void conn_close_end(struct conn *c, int end, bool reset);
/* It has a target. */
void conn_opened(struct conn *c);
/* c may be gone after these. */
void conn_move(struct conn *c);
void conn_end(struct conn *c, bool reset);

/* ---- proxy_connect.c: the way to a target ---- */

/* c may be gone after each of these. */
void connect_start(struct conn *c);
void connect_ready(struct conn *c, uint32_t epoll_events); /* of the target's end */
/* Before c goes. */
void connect_forget(struct conn *c);

#endif
