/* listeners.h - what each listener is for, and where its socket comes from. Private to src/cmd.
 *
 * What it is for belongs to the config key: `listen` is local and takes loopback TCP or a Unix socket and nothing else,
 * whoever opened the socket; the others that speak HTTP have their own reach whatever their address; `vsock_listen`
 * takes vsock or a Unix socket. A new key is a row in listeners.c.
 */
#ifndef ATTESTD_CMD_LISTENERS_H
#define ATTESTD_CMD_LISTENERS_H

#include "api.h"
#include "net.h"

enum listener_use {
	LISTENER_LOCAL,
	LISTENER_PUBLIC,
	LISTENER_VSOCK,
	LISTENER_TLS,
	LISTENER_PEER,
	LISTENER_PEER_TLS,
	LISTENER_USES
};

struct listeners {
	size_t n;
	struct {
		enum listener_use use;
		int fd; /* taken over from the service manager, or -1 until listeners_open */
		bool inherited;
		struct net_addr addr;
	} at[LISTENER_USES];
};

/* Judges what the keys say, without opening anything: all that can be known of it beforehand. ERR_CONFIG says what is
 * wrong. */
enum err listeners_check(const struct config *c, struct why *w) MUST_USE;
/* Judges the addresses and takes over the service manager's sockets. ERR_CONFIG says what is wrong. */
enum err listeners_plan(struct listeners *l, const struct config *c, struct why *w) MUST_USE;
/* Is there one of this use? */
bool listeners_have(const struct listeners *l, enum listener_use use);
/* Opens what was not inherited and hands each to its server in `app`. */
enum err listeners_open(struct listeners *l, const struct app *app, struct why *w) MUST_USE;
/* `listening on http://127.0.0.1:8765` (https:// for TLS on TCP), one line each, on stderr. */
void listeners_announce(const struct listeners *l);
/* Removes the socket files that are ours; while the sockets are still open, because the kernel is asked whose they are.
 */
void listeners_close(struct listeners *l);

#endif
