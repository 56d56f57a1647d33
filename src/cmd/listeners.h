/* listeners.h - which listener has which reach, and where its socket comes from. Private to src/cmd.
 *
 * Reach belongs to the config key: `listen` is local and takes loopback TCP or a Unix socket and nothing else, whoever
 * opened the socket; `public_listen` is public whatever its address.
 */
#ifndef ATTESTD_CMD_LISTENERS_H
#define ATTESTD_CMD_LISTENERS_H

#include "config.h"
#include "http.h"
#include "net.h"

enum { LISTENERS_MAX = 2 };

struct listeners {
	size_t n;
	struct {
		const char *key; /* of keys.def; a socket unit's FileDescriptorName= */
		enum http_reach reach;
		int fd; /* taken over from the service manager, or -1 until listeners_open */
		bool inherited;
		struct net_addr addr;
	} at[LISTENERS_MAX];
};

/* Judges what the keys say, without opening anything: all that can be known of it beforehand. ERR_CONFIG says what is
 * wrong. */
enum err listeners_check(const struct config *c, struct why *w) MUST_USE;
/* Judges the addresses and takes over the service manager's sockets. ERR_CONFIG says what is wrong. */
enum err listeners_plan(struct listeners *l, const struct config *c, struct why *w) MUST_USE;
/* Opens what was not inherited and hands all to the server. */
enum err listeners_open(struct listeners *l, struct http_server *http, struct why *w) MUST_USE;
/* `listening on http://127.0.0.1:8765`, one line each, on stderr. */
void listeners_announce(const struct listeners *l);
/* Removes the socket files that are ours; while the sockets are still open, because the kernel is asked whose they are.
 */
void listeners_close(struct listeners *l);

#endif
