/* systemd.c - the service manager: sockets that it passes, and what it wants to be told. */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

/* The whole text as a decimal number; what a service manager sets has no sign and no space. */
static bool number(const char *s, int64_t *out)
{
	if (s == NULL || *s < '0' || *s > '9')
		return false;
	char *end;
	errno = 0;
	*out = strtoll(s, &end, 10);
	return errno == 0 && *end == '\0';
}

static enum err take(struct net_activated *a, int fd, const char *name, size_t n, struct why *w)
{
	if (n == 0 || n >= sizeof a->name)
		return why_set(w, ERR_ENVIRONMENT, "LISTEN_FDNAMES: a name must have 1 to %zu bytes",
			       sizeof a->name - 1);
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return why_set(w, ERR_ENVIRONMENT, "LISTEN_FDS: descriptor %d: %s", fd, strerror(errno));
	memcpy(a->name, name, n);
	a->name[n] = '\0';
	a->fd = fd;
	return ERR_OK;
}

static enum err take_all(struct net_activated out[NET_ACTIVATION_MAX], size_t *n, struct why *w)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int64_t count, pid;

	*n = 0;
	/* Variables meant for another process, which passed them on to us, are no activation. */
	if (!number(getenv("LISTEN_PID"), &pid) || pid != getpid())
		return ERR_OK;
	if (!number(getenv("LISTEN_FDS"), &count))
		return why_set(w, ERR_ENVIRONMENT, "LISTEN_FDS is not a number");
	if (count > NET_ACTIVATION_MAX)
		return why_set(w, ERR_ENVIRONMENT,
			       "LISTEN_FDS: %" PRId64 " sockets were passed, and at most %d are taken", count,
			       (int)NET_ACTIVATION_MAX);
	for (int i = 0; i < (int)count; i++) {
		const size_t len = names != NULL ? strcspn(names, ":") : 0;
		const enum err e = names != NULL ? take(&out[i], FIRST_FD + i, names, len, w)
						 : take(&out[i], FIRST_FD + i, "unknown", 7, w);
		if (e != ERR_OK)
			return e;
		if (names != NULL)
			names = names[len] == ':' ? names + len + 1 : names + len;
	}
	*n = (size_t)count;
	return ERR_OK;
}

enum err net_activation(struct net_activated out[NET_ACTIVATION_MAX], size_t *n, struct why *w)
{
	struct net_activated taken[NET_ACTIVATION_MAX];
	size_t count;
	const enum err e = take_all(taken, &count, w);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (e != ERR_OK)
		return e;
	memcpy(out, taken, count * sizeof taken[0]);
	*n = count;
	return ERR_OK;
}

void net_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const size_t n = path != NULL ? strlen(path) : 0;

	if (n < 2 || n >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Nothing can be done about a manager that does not listen, and its watchdog notices. */
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&sa,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

int64_t net_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	int64_t usec, n;

	if (!number(getenv("WATCHDOG_USEC"), &usec) || usec <= 0)
		return 0;
	if (pid != NULL && (!number(pid, &n) || n != getpid()))
		return 0;
	return usec / 2000 > 0 ? usec / 2000 : 1;
}

static void on_watchdog(struct loop_timer *t)
{
	struct net_watchdog *d = t->ctx;
	net_notify("WATCHDOG=1");
	loop_timer_arm(d->loop, t, d->ms);
}

void net_watchdog_start(struct net_watchdog *d, struct loop *l)
{
	*d = (struct net_watchdog){.loop = l, .ms = net_watchdog_ms(), .timer = {.fire = on_watchdog, .ctx = d}};
	if (d->ms > 0)
		loop_timer_arm(l, &d->timer, d->ms);
}
