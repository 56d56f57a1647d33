/* internal.h - what the files of the server share; tests and the fuzz target look in here too.
 *
 * A connection goes READING -> (WORKING) -> WRITING -> LINGERING. The work for one outlives it where a worker is at it.
 */
#ifndef ATTESTD_VSOCK_INTERNAL_H
#define ATTESTD_VSOCK_INTERNAL_H

#include "vsock.h"

/* ---- request.c ---- */

struct vsock_name {
	const char *name;
	enum vsock_command command;
};
enum { VSOCK_COMMANDS = 3, VSOCK_NAME_SHOWN = 64 };
extern const struct vsock_name vsock_commands[VSOCK_COMMANDS]; /* in the order of `available_commands` */

enum vsock_line { VSOCK_LINE_OPEN, VSOCK_LINE_WHOLE, VSOCK_LINE_TOO_LONG };
/* Appends what of `piece` stands before the first newline, which makes the line whole. It does not matter how the bytes
 * are cut into pieces. */
enum vsock_line vsock_line_take(struct buf *line, struct bytes piece);

#define VSOCK_FAILED "Failed to process request: " /* the seed's, before a fault that is not of the JSON itself */

/* ---- server.c ---- */

struct vsock_server {
	struct loop *loop;
	struct log *log;
	const struct clock *clock;
	struct vsock_options options;
	struct nsm *nsm;
	struct crypto *crypto;
	struct attest *attest;
	struct keys *keys;
	struct budget *budget;
	struct net_listener listener;
	unsigned port;
	int64_t started_ms;
	struct bucket bucket;
	struct vsock_counters count;
	uint64_t refused;    /* connections that the log was told of, */
	int64_t refusals_ms; /* and when it may be told of more */
	struct vsock_conn *conns;
	bool draining;
	struct loop_timer drain;
	void (*drained)(void *ctx); /* until it is called */
	void *drained_ctx;
};

enum vsock_state { VSOCK_READING, VSOCK_WORKING, VSOCK_WRITING, VSOCK_LINGERING };

struct vsock_conn {
	struct vsock_server *server;
	struct vsock_conn *prev, *next;
	struct loop_io io;
	uint32_t events; /* that io waits for */
	enum vsock_state state;
	bool ended; /* nothing more comes of the peer */
	struct loop_timer timer;
	struct buf in, out;
	size_t sent, discarded;
	struct vsock_op *op; /* while WORKING */
	const char *command; /* for the log */
	int64_t started_us;
};

/* Sends the reply, which it takes over, and ends the connection in due course; c may be gone afterwards. */
void vsock_reply(struct vsock_conn *c, const char *code, struct buf *reply);
/* The same with an error: "PREFIXtext". */
void vsock_fail(struct vsock_conn *c, const char *prefix, const struct why *w);
/* Whether the client takes no reply any more; if so c is gone, too. */
bool vsock_gone(struct vsock_conn *c);
/* Until the reply must be there. */
void vsock_await(struct vsock_conn *c, int64_t ms);

/* ---- commands.c ---- */

/* c->in is whole: answers it, or begins what will. */
void vsock_command(struct vsock_conn *c);
/* The NSM took too long, or the server stops: the client is answered now. */
void vsock_op_late(struct vsock_conn *c, const struct why *w);
/* The client is gone. */
void vsock_op_drop(struct vsock_op *op);
/* {"success":false,"error":"PREFIXtext","code":"..."} */
void vsock_put_error(struct buf *out, const char *prefix, const struct why *w);

#endif
