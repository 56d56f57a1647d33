/* net.h - addresses, listening sockets, and the service manager's protocols.
 *
 * Addresses as text: 127.0.0.1:8765, [::1]:8765, unix:/run/attestd.sock, unix:@abstract is refused, vsock:9000.
 */
#ifndef ATTESTD_NET_H
#define ATTESTD_NET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"

enum { NET_BACKLOG = 4096, NET_TEXT_MAX = 160, NET_ACTIVATION_MAX = 16 };

enum net_kind { NET_TCP, NET_UNIX, NET_VSOCK };

struct net_addr {
	enum net_kind kind;
	bool loopback; /* TCP on 127.0.0.0/8 or ::1 */
	struct sockaddr_storage sa;
	socklen_t len;
};

/* ERR_CONFIG with a sentence that shows the accepted forms. */
enum err net_parse(struct net_addr *out, const char *text, struct why *w) MUST_USE;

/* A non-blocking, close-on-exec listening socket. Unix: a stale socket file is replaced (one that answers is not), mode
 * is 0660. Port 0 takes a free one. ERR_ENVIRONMENT names the address and the reason. */
enum err net_listen(int *fd, const struct net_addr *a, struct why *w) MUST_USE;
/* The address that a listening socket is bound to, whoever bound it. */
enum err net_bound(struct net_addr *out, int fd, struct why *w) MUST_USE;
/* "http://127.0.0.1:8765", "unix:/path", "vsock:9000"; scheme is "http" or "https" and used for TCP only. */
void net_text(const struct net_addr *a, const char *scheme, char out[NET_TEXT_MAX]);
/* Removes the socket file that net_listen made, if it still is ours. */
void net_unlisten(int fd, const struct net_addr *a);

/* ---- systemd: sd_listen_fds(3) and sd_notify(3), without libsystemd ---- */
struct net_activated {
	int fd;
	char name[64]; /* FileDescriptorName=: the config key of the listener, e.g. "listen" */
};
/* Takes the descriptors if $LISTEN_PID is this process; *n = 0 without activation. Sets close-on-exec, clears the
 * variables. */
enum err net_activation(struct net_activated out[NET_ACTIVATION_MAX], size_t *n, struct why *w) MUST_USE;
/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..." to $NOTIFY_SOCKET; nothing without one. Never blocks. */
void net_notify(const char *state);
/* Half of $WATCHDOG_USEC in ms, or 0. */
int64_t net_watchdog_ms(void);

#endif
