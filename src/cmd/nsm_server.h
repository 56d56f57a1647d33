/* nsm_server.h - a simulator offered on a Unix socket, framed as nsm.h says. Private to src/cmd.
 *
 * Requests of one connection are answered in turn. A request is worked on in the loop's thread, about a millisecond.
 */
#ifndef ATTESTD_CMD_NSM_SERVER_H
#define ATTESTD_CMD_NSM_SERVER_H

#include "loop.h"
#include "net.h"
#include "simulator.h"

enum {
	NSM_SERVER_CONNECTIONS_MAX = 64, /* one more is closed at once */
	NSM_SERVER_FRAME_MS = 30 * 1000, /* for a request that has begun, and for a reply to be taken */
};

struct nsm_server;

/* Listens at `at`, a Unix socket. Each reply leaves delay_ms after its request came, the others go on meanwhile. All is
 * borrowed. */
enum err nsm_server_open(struct nsm_server **out, struct loop *l, struct simulator *s, const struct net_addr *at,
			 int64_t delay_ms, struct why *w) MUST_USE;
/* Closes all connections and removes the socket. NULL is fine. */
void nsm_server_close(struct nsm_server *s);

#endif
