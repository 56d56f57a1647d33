/* tls_front_parts.h - what the files of the TLS front share. Private to src/net. */
#ifndef ATTESTD_NET_TLS_FRONT_PARTS_H
#define ATTESTD_NET_TLS_FRONT_PARTS_H

#include "tls_front.h"

/* Plain bytes that came from one side and wait for the other to take them. */
struct tls_front_rest {
	uint8_t *p; /* NULL where there are none */
	size_t at, n;
};

struct tls_front_conn {
	struct tls_front *front;
	struct tls *tls;
	struct loop_io outer, inner; /* fd is -1 where there is none */
	uint32_t outer_events, inner_events;
	struct loop_timer timer; /* the handshake's; to go on in the next turn; that of the last bytes */
	struct loop_job job;	 /* a step of the handshake */
	enum tls_step step;	 /* what it came to */
	struct why why;
	bool working, dead;
	bool handshaking;
	struct tls_front_rest in, out; /* towards the inner end, and from it */
	bool write_waits;	       /* for the outer socket to take more */
	bool read_waits;	       /* the same: TLS has something of its own to say before it reads on */
	bool outer_ended, inner_told;  /* no more will come from outside; and the inner end knows */
	bool inner_deaf;	       /* it takes no more */
	bool inner_gone;	       /* it has ended, and what it said before may not have been read yet */
	bool inner_ended, end_sent;    /* no more will come from inside; and the outer end knows */
	struct tls_front_conn *prev, *next;
};

struct tls_front {
	struct loop *loop;
	struct log *log;
	struct tls_server *server;
	struct tls_front_limits limits;
	void (*secured)(void *ctx, int fd, struct tls_peer *peer);
	void *ctx;
	struct tls_front_conn *conns;
	struct tls_front_counters count;
	bool draining;
	uint8_t block[TLS_FRONT_BLOCK]; /* of whichever connection is at work; wiped after each use */
};

/* ---- tls_front.c ---- */
void tls_front_close(struct tls_front_conn *c); /* freed at once, or when its job is done */

/* ---- tls_front_pump.c ---- */
void tls_front_on_outer(struct loop_io *io, uint32_t events);
void tls_front_on_inner(struct loop_io *io, uint32_t events);
/* Moves what can be moved. The connection may be closed by it. */
void tls_front_pump(struct tls_front_conn *c);
void tls_front_rest_free(struct tls_front_rest *r);

#endif
