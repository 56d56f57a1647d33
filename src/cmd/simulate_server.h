/* simulate_server.h - a simulator offered on a Unix socket, framed as nsm.h says. Private to src/cmd.
 *
 * Requests of one connection are answered in turn. A request is worked on in the loop's thread, about a millisecond.
 */
#ifndef ATTESTD_CMD_SIMULATE_SERVER_H
#define ATTESTD_CMD_SIMULATE_SERVER_H

#include "loop.h"
#include "net.h"
#include "simulator.h"

enum {
	/* One more takes the place of the one that has been idle for longest; where none is, it is closed at once. */
	SIMULATE_SERVER_CONNECTIONS_MAX = 64,
	SIMULATE_SERVER_FRAME_MS = 30 * 1000, /* for a request that has begun, and for a reply to be taken */
	SIMULATE_SERVER_IDLE_MS = 300 * 1000, /* until the next request begins */
	SIMULATE_SERVER_DESCRIPTORS = SIMULATE_SERVER_CONNECTIONS_MAX + 32, /* what a process needs that runs one */
};

struct simulate_server;

/* Listens at `at`, a Unix socket. Each reply leaves delay_ms after its request came, the others go on meanwhile. All is
 * borrowed. */
enum err simulate_server_open(struct simulate_server **out, struct loop *l, struct simulator *s,
			      const struct net_addr *at, int64_t delay_ms, struct why *w) MUST_USE;
/* Closes all connections and removes the socket. NULL is fine. */
void simulate_server_close(struct simulate_server *s);

#endif
