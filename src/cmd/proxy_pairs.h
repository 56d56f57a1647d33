/* proxy_pairs.h - what `attestd proxy` carries from where to where. Private to src/cmd. */
#ifndef ATTESTD_CMD_PROXY_PAIRS_H
#define ATTESTD_CMD_PROXY_PAIRS_H

#include "args.h"
#include "proxy.h"

struct pairs {
	size_t n;
	struct {
		int fd; /* of the service manager's, or -1 until it is opened */
		bool inherited;
		struct net_addr from;
		struct net_target to;
	} at[PROXY_PAIRS_MAX];
};

/* The n-th --listen and the n-th --to, or where there is neither BIND_ADDR, ENCLAVE_CID and ENCLAVE_PORT. Takes over
 * the service manager's sockets, of which none may be left without a place. CMD_OK, or the exit status after having
 * said what is wrong. */
int pairs_read(struct pairs *p, const struct args *a);
/* Opens what was not inherited, all of them before the first is handed to the proxy. */
enum err pairs_open(struct pairs *p, struct proxy *proxy, struct why *w) MUST_USE;
/* `listening on tcp:0.0.0.0:443 -> vsock:16:5005`, one line each, on stderr. */
void pairs_announce(const struct pairs *p);
/* Removes the socket files that are ours; while the sockets are still open, because the kernel is asked whose they are.
 */
void pairs_unlist(const struct pairs *p);

#endif
