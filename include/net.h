/* net.h - addresses, listening sockets, connecting, and the service manager's protocols.
 *
 * Addresses as text. To listen on: 127.0.0.1:8765, [::1]:8765 (with or without `tcp:`), unix:/run/attestd.sock,
 * vsock:9000. To connect to: tcp:HOST:PORT (HOST may be a name; `tcp:` may be left out), unix:/run/attestd.sock,
 * vsock:CID:PORT. unix:@abstract is refused.
 */
#ifndef ATTESTD_NET_H
#define ATTESTD_NET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "loop.h"

enum {
	NET_BACKLOG = 4096,
	NET_TEXT_MAX = 160,
	NET_ACTIVATION_MAX = 16,
	NET_HOST_MAX = 253,   /* bytes of a host's name */
	NET_TARGET_MAX = 280, /* bytes of a target as text, with its NUL */
	NET_LOOK_UP_MAX = 16, /* addresses of a name that are tried */
	NET_ACCEPTS_PER_TURN = 64,
	NET_PAUSE_MS = 100, /* before the next try where there was no descriptor left */
};

enum net_kind { NET_TCP, NET_UNIX, NET_VSOCK };

struct net_addr {
	enum net_kind kind;
	bool loopback; /* TCP on 127.0.0.0/8 or ::1 */
	struct sockaddr_storage sa;
	socklen_t len;
};

/* To listen on. ERR_CONFIG with a sentence that shows the accepted forms. */
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

/* Takes connections from a listening descriptor; embedded by value, and must stay put while it is open. `accepted` owns
 * the descriptor (non-blocking, close-on-exec) and is called at most NET_ACCEPTS_PER_TURN times a turn. Where no
 * descriptor can be had (EMFILE and its like) `failed` is told why, once until one is accepted again, and the next try
 * comes NET_PAUSE_MS later. */
struct net_listener {
	struct loop *loop;
	void (*accepted)(struct net_listener *l, int fd, const struct sockaddr_storage *from, socklen_t n);
	void (*failed)(struct net_listener *l, const struct why *w);
	void *ctx;
	struct loop_io io; /* this and the rest are the module's; io.fd is -1 while closed */
	struct loop_timer pause;
	bool told;
};
/* loop, accepted, failed and ctx are set by the caller. Takes fd, which is non-blocking, over, on failure too. Both
 * callbacks may close the listener, but not free it. */
enum err net_listener_open(struct net_listener *l, int fd, struct why *w) MUST_USE;
void net_listener_close(struct net_listener *l); /* closes the descriptor; fine if closed or all zeroes */

/* ---- connecting ---- */
struct net_target {
	struct net_addr addr;	     /* of TCP: only where `host` is empty; its sa.family is AF_UNSPEC else */
	char host[NET_HOST_MAX + 1]; /* a name that is to be looked up */
	uint16_t port;		     /* of that name */
};
/* ERR_CONFIG with a sentence that shows the accepted forms. Port 0 and CID 4294967295 ("any", which is
 * no peer) are refused; so are names that a resolver would read as a number in one of inet_aton(3)'s other forms. */
enum err net_target_parse(struct net_target *out, const char *text, struct why *w) MUST_USE;
/* "tcp:127.0.0.1:443", "tcp:[::1]:443", "tcp:example.org:443", "unix:/path", "vsock:16:5005": what net_target_parse
 * reads. */
void net_target_text(const struct net_target *t, char out[NET_TARGET_MAX]);
/* The addresses that a target has, one unless it is a name; blocks for as long as the system's resolver does, which is
 * not asked for `localhost`: 127.0.0.1, then ::1. Any thread. ERR_ENVIRONMENT, told. */
enum err net_look_up(const struct net_target *t, struct net_addr out[NET_LOOK_UP_MAX], size_t *n,
		     struct why *w) MUST_USE;
/* Begins a connection: a non-blocking, close-on-exec descriptor in *fd, and in *under_way whether its end is still to
 * come (EPOLLOUT, then SO_ERROR), which may take a minute. Returns 0 or the error number; EAGAIN: the queue of a Unix
 * socket is full, and nothing tells when there is room. */
int net_begin(int *fd, bool *under_way, const struct net_addr *to);
/* The same to its end, blocking, until clock_mono() is at until_ms. ERR_ENVIRONMENT, told, names the target. The
 * descriptor is non-blocking. */
enum err net_dial(int *fd, const struct net_target *to, const struct clock *clock, int64_t until_ms,
		  struct why *w) MUST_USE;

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
/* Embedded by value: says WATCHDOG=1 that often, if it is asked for, for as long as the loop turns. */
struct net_watchdog {
	struct loop *loop;
	int64_t ms;
	struct loop_timer timer;
};
void net_watchdog_start(struct net_watchdog *d, struct loop *l);

#endif
