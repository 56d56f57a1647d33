/* listen.c - listening sockets, and the files of those that are Unix sockets. */
#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err fault(struct why *w, const struct net_addr *a, const char *what, int error)
{
	char text[NET_TEXT_MAX];
	net_text(a, "tcp", text);
	return why_set(w, ERR_ENVIRONMENT, "cannot listen on %s: %s%s", text, what, strerror(error));
}

/* Connects without waiting: 0, or the error. *peer is who called listen(2). */
static int probe(const struct net_addr *a, struct ucred *peer)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	socklen_t len = sizeof *peer;
	int error = 0;
	if (connect(fd, (const struct sockaddr *)&a->sa, a->len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) != 0)
		error = errno;
	close(fd);
	return error;
}

static const char *path_of(const struct net_addr *a)
{
	return ((const struct sockaddr_un *)&a->sa)->sun_path;
}

/* A process that was killed leaves its socket file behind; nothing listens on it then. */
static enum err remove_stale(const struct net_addr *a, struct why *w)
{
	struct stat st;
	if (lstat(path_of(a), &st) != 0)
		return errno == ENOENT ? ERR_OK : fault(w, a, "", errno);
	if (!S_ISSOCK(st.st_mode))
		return fault(w, a, "something that is not a socket is there: ", EEXIST);
	struct ucred peer;
	const int error = probe(a, &peer);
	if (error == 0 || error == EAGAIN)
		return fault(w, a, "another process answers there: ", EADDRINUSE);
	if (error != ECONNREFUSED && error != ENOENT)
		return fault(w, a, "looking whether another process answers there: ", error);
	if (error == ECONNREFUSED && unlink(path_of(a)) != 0 && errno != ENOENT)
		return fault(w, a, "removing what an earlier process left there: ", errno);
	return ERR_OK;
}

static int bind_unix(int fd, const struct net_addr *a)
{
	/* The mode must be right from the first moment, so chmod afterwards would be too late. */
	const mode_t before = umask(0117);
	const int r = bind(fd, (const struct sockaddr *)&a->sa, a->len);
	const int error = errno;
	umask(before);
	errno = error;
	return r;
}

static int bind_inet(int fd, const struct net_addr *a)
{
	const int one = 1;
	if (a->kind == NET_TCP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
		return -1;
	/* [::] means IPv6 and nothing else: an address that says less than it serves would mislead. */
	if (a->sa.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
		return -1;
	return bind(fd, (const struct sockaddr *)&a->sa, a->len);
}

enum err net_listen(int *out, const struct net_addr *a, struct why *w)
{
	bool bound = false;
	enum err e = a->kind == NET_UNIX ? remove_stale(a, w) : ERR_OK;
	if (e != ERR_OK)
		return e;
	int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault(w, a, "", errno);
	if ((a->kind == NET_UNIX ? bind_unix(fd, a) : bind_inet(fd, a)) != 0) {
		e = fault(w, a, "", errno);
		goto out;
	}
	bound = true;
	if (listen(fd, NET_BACKLOG) != 0) {
		e = fault(w, a, "", errno);
		goto out;
	}
	*out = fd;
	fd = -1;
	e = ERR_OK;
out:
	if (fd >= 0) {
		if (bound && a->kind == NET_UNIX)
			unlink(path_of(a));
		close(fd);
	}
	return e;
}

void net_unlisten(int fd, const struct net_addr *a)
{
	struct net_addr have;
	struct why w = {0};
	if (a->kind != NET_UNIX || net_bound(&have, fd, &w) != ERR_OK || have.kind != NET_UNIX)
		return;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;
	if (strncmp(path_of(&have), un->sun_path, sizeof un->sun_path) != 0)
		return;
	/* A later process, or the service manager, may own the file by now. The kernel knows who listens behind it. */
	struct ucred peer;
	if (probe(a, &peer) == 0 && peer.pid == getpid())
		unlink(path_of(a));
}
