/* fetch_conn.h - the connection that an exchange goes over, in the clear or under TLS; private to src/net. */
#ifndef ATTESTD_NET_FETCH_CONN_H
#define ATTESTD_NET_FETCH_CONN_H

#include <signal.h>

#include "fetch.h"

struct fetch_conn {
	const struct fetch_url *url;
	const struct clock *clock;
	int64_t timeout_ms, deadline;  /* the one is only told of; by clock_mono() */
	char who[FETCH_HOST_MAX + 32]; /* the server, as messages name it */
	struct net_target to;
	int fd;
	struct tls *tls;       /* NULL: in the clear */
	struct tls_peer *peer; /* the caller may take it */
	bool held;	       /* SIGPIPE is, and: */
	bool pending;	       /* was so before */
	sigset_t mask;	       /* before */
};

/* Who is to be asked, without asking yet. To be followed by fetch_conn_close in any case. */
enum err fetch_conn_init(struct fetch_conn *c, const struct fetch_url *url, const struct clock *clock,
			 int64_t timeout_ms, struct why *w) MUST_USE;
/* Connects and, for TLS, does the handshake and sees that the key is the one that `r` wants. */
enum err fetch_conn_open(struct fetch_conn *c, const struct fetch_request *r, struct why *w) MUST_USE;
void fetch_conn_close(struct fetch_conn *c);

/* As tls_read and tls_write, of either kind of connection. */
enum tls_step fetch_conn_read(struct fetch_conn *c, uint8_t *out, size_t cap, size_t *n, struct why *w) MUST_USE;
enum tls_step fetch_conn_write(struct fetch_conn *c, struct bytes in, size_t *n, struct why *w) MUST_USE;
/* Until one of `events` (poll(2)) comes, if any is given; ERR_ENVIRONMENT, told, once it is too late. */
enum err fetch_conn_wait(const struct fetch_conn *c, short events, struct why *w) MUST_USE;

#endif
