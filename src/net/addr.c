/* addr.c - addresses as text and as the kernel knows them. */
#include "net.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "host.h"

#define FORMS "use IPV4:PORT, [IPV6]:PORT, unix:PATH or vsock:PORT"

static enum err parse_vsock(struct net_addr *out, const char *text, const char *port, struct why *w)
{
	uint32_t n;
	if (!host_number(bytes_str(port), 0, VMADDR_PORT_ANY - 1, &n))
		return why_set(w, ERR_CONFIG, "\"%s\" has no vsock port from 0 to %u; " FORMS, text,
			       VMADDR_PORT_ANY - 1);
	/* VMADDR_PORT_ANY is no port of its own: vsock writes "any" as 0, as TCP does. */
	host_vsock(out, VMADDR_CID_ANY, n == 0 ? VMADDR_PORT_ANY : n);
	return ERR_OK;
}

static enum err parse_tcp(struct net_addr *out, const char *text, struct why *w)
{
	struct host_split s;
	uint16_t port;
	if (!host_split(&s, bytes_str(text)))
		return why_set(w, ERR_CONFIG, "\"%s\" lacks the ] of its IPv6 address; " FORMS, text);
	if (s.rest.n == 0)
		return why_set(w, ERR_CONFIG, "\"%s\" is no address; " FORMS, text);
	if (!host_port(s.rest, 0, &port))
		return why_set(w, ERR_CONFIG, "\"%s\" has no port from 0 to 65535 at its end; " FORMS, text);
	if (host_read(out, &s, port) != HOST_ADDRESS)
		return why_set(w, ERR_CONFIG, "\"%.*s\" is no IP%s address (names are not looked up); " FORMS,
			       (int)s.host.n, (const char *)s.host.p, s.brackets ? "v6" : "v4");
	return ERR_OK;
}

enum err net_parse(struct net_addr *out, const char *text, struct why *w)
{
	if (strlen(text) >= NET_TEXT_MAX)
		return why_set(w, ERR_CONFIG, "an address may be at most %d bytes long", NET_TEXT_MAX - 1);
	if (strncmp(text, "unix:", 5) == 0)
		return host_unix(out, text + 5, FORMS, w);
	if (strncmp(text, "vsock:", 6) == 0)
		return parse_vsock(out, text, text + 6, w);
	return parse_tcp(out, strncmp(text, "tcp:", 4) == 0 ? text + 4 : text, w);
}

static enum err classify(struct net_addr *a, struct why *w)
{
	switch (a->sa.ss_family) {
	case AF_INET:
	case AF_INET6:
		a->kind = NET_TCP;
		a->loopback = host_is_loopback(&a->sa);
		return ERR_OK;
	case AF_VSOCK:
		a->kind = NET_VSOCK;
		return ERR_OK;
	case AF_UNIX:
		a->kind = NET_UNIX;
		/* Unnamed sockets have no path in their length, abstract ones begin it with a NUL. */
		if (a->len > offsetof(struct sockaddr_un, sun_path) &&
		    ((const struct sockaddr_un *)&a->sa)->sun_path[0] != '\0')
			return ERR_OK;
		return why_set(w, ERR_ENVIRONMENT, "a Unix socket without a path cannot be served");
	default:
		return why_set(w, ERR_ENVIRONMENT, "a socket of address family %d cannot be served",
			       (int)a->sa.ss_family);
	}
}

static enum err expect(int fd, int option, int want, const char *what, struct why *w)
{
	socklen_t len = sizeof(int);
	int have = 0;

	if (getsockopt(fd, SOL_SOCKET, option, &have, &len) != 0)
		return why_set(w, ERR_ENVIRONMENT, "descriptor %d: %s", fd, strerror(errno));
	if (have != want)
		return why_set(w, ERR_ENVIRONMENT, "descriptor %d is not %s", fd, what);
	return ERR_OK;
}

enum err net_bound(struct net_addr *out, int fd, struct why *w)
{
	struct net_addr a = {.len = sizeof a.sa};
	enum err e;
	if ((e = expect(fd, SO_TYPE, SOCK_STREAM, "a stream socket", w)) != ERR_OK ||
	    (e = expect(fd, SO_ACCEPTCONN, 1, "a listening socket", w)) != ERR_OK)
		return e;
	if (getsockname(fd, (struct sockaddr *)&a.sa, &a.len) != 0)
		return why_set(w, ERR_ENVIRONMENT, "the address of descriptor %d: %s", fd, strerror(errno));
	e = classify(&a, w);
	if (e == ERR_OK)
		*out = a;
	return e;
}

void net_text(const struct net_addr *a, const char *scheme, char out[NET_TEXT_MAX])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;
	const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&a->sa;
	char host[HOST_TEXT_MAX];

	switch (a->kind) {
	case NET_UNIX:
		/* The kernel may give a path that fills the array and has no NUL. */
		snprintf(out, NET_TEXT_MAX, "unix:%.*s", (int)sizeof un->sun_path, un->sun_path);
		return;
	case NET_VSOCK:
		snprintf(out, NET_TEXT_MAX, "vsock:%" PRIu32,
			 vm->svm_port == VMADDR_PORT_ANY ? 0 : (uint32_t)vm->svm_port);
		return;
	case NET_TCP:
		host_text(a, host);
		snprintf(out, NET_TEXT_MAX, "%s://%s", scheme, host);
	}
}
