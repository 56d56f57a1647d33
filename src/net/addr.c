/* addr.c - addresses as text and as the kernel knows them. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#define FORMS "use 127.0.0.1:PORT, [::1]:PORT, unix:PATH or vsock:PORT"

/* Digits only. VMADDR_PORT_ANY is no port of its own: vsock writes "any" as 0, as TCP does. */
static bool parse_port(const char *s, uint32_t most, uint32_t *out)
{
	if (*s == '\0')
		return false;
	uint64_t v = 0;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > most)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static enum err parse_unix(struct net_addr *out, const char *path, struct why *w)
{
	struct sockaddr_un *sa = (struct sockaddr_un *)&out->sa;
	const size_t n = strlen(path);

	if (n == 0)
		return why_set(w, ERR_CONFIG, "unix: lacks a path; " FORMS);
	/* An abstract socket has no file, so no mode could keep other users out. */
	if (path[0] == '@')
		return why_set(w, ERR_CONFIG,
			       "abstract sockets are not served, because they have no permissions; " FORMS);
	if (n >= sizeof sa->sun_path)
		return why_set(w, ERR_CONFIG,
			       "the path of a Unix socket may be at most %zu bytes long, and this is %zu: %s",
			       sizeof sa->sun_path - 1, n, path);
	out->kind = NET_UNIX;
	sa->sun_family = AF_UNIX;
	memcpy(sa->sun_path, path, n + 1);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return ERR_OK;
}

static enum err parse_vsock(struct net_addr *out, const char *text, const char *port, struct why *w)
{
	uint32_t n;
	if (!parse_port(port, VMADDR_PORT_ANY - 1, &n))
		return why_set(w, ERR_CONFIG, "\"%s\" has no vsock port from 0 to %u; " FORMS, text,
			       VMADDR_PORT_ANY - 1);
	struct sockaddr_vm *sa = (struct sockaddr_vm *)&out->sa;
	out->kind = NET_VSOCK;
	sa->svm_family = AF_VSOCK;
	sa->svm_cid = VMADDR_CID_ANY;
	sa->svm_port = n == 0 ? VMADDR_PORT_ANY : n;
	out->len = sizeof *sa;
	return ERR_OK;
}

static bool host4(struct net_addr *out, const char *host, uint16_t port)
{
	struct sockaddr_in *sa = (struct sockaddr_in *)&out->sa;
	if (inet_pton(AF_INET, host, &sa->sin_addr) != 1)
		return false;
	sa->sin_family = AF_INET;
	sa->sin_port = htons(port);
	out->len = sizeof *sa;
	out->loopback = ntohl(sa->sin_addr.s_addr) >> 24 == 127;
	return true;
}

static bool host6(struct net_addr *out, const char *host, uint16_t port)
{
	struct sockaddr_in6 *sa = (struct sockaddr_in6 *)&out->sa;
	if (inet_pton(AF_INET6, host, &sa->sin6_addr) != 1)
		return false;
	sa->sin6_family = AF_INET6;
	sa->sin6_port = htons(port);
	out->len = sizeof *sa;
	out->loopback = IN6_IS_ADDR_LOOPBACK(&sa->sin6_addr);
	return true;
}

static enum err parse_tcp(struct net_addr *out, const char *text, struct why *w)
{
	const char *colon = strrchr(text, ':');
	uint32_t port;
	if (colon == NULL)
		return why_set(w, ERR_CONFIG, "\"%s\" is no address; " FORMS, text);
	if (!parse_port(colon + 1, UINT16_MAX, &port))
		return why_set(w, ERR_CONFIG, "\"%s\" has no port from 0 to 65535 at its end; " FORMS, text);
	const bool brackets = text[0] == '[';
	size_t n = (size_t)(colon - text);
	if (brackets) {
		if (n < 2 || text[n - 1] != ']')
			return why_set(w, ERR_CONFIG, "\"%s\" lacks the ] of its IPv6 address; " FORMS, text);
		text++;
		n -= 2;
	}
	char host[INET6_ADDRSTRLEN];
	if (n < sizeof host) {
		memcpy(host, text, n);
		host[n] = '\0';
		out->kind = NET_TCP;
		if (brackets ? host6(out, host, (uint16_t)port) : host4(out, host, (uint16_t)port))
			return ERR_OK;
	}
	return why_set(w, ERR_CONFIG, "\"%.*s\" is no IP%s address (names are not looked up); " FORMS, (int)n, text,
		       brackets ? "v6" : "v4");
}

enum err net_parse(struct net_addr *out, const char *text, struct why *w)
{
	struct net_addr a = {0};
	enum err e;

	if (strlen(text) >= NET_TEXT_MAX)
		return why_set(w, ERR_CONFIG, "an address may be at most %d bytes long", NET_TEXT_MAX - 1);
	if (strncmp(text, "unix:", 5) == 0)
		e = parse_unix(&a, text + 5, w);
	else if (strncmp(text, "vsock:", 6) == 0)
		e = parse_vsock(&a, text, text + 6, w);
	else
		e = parse_tcp(&a, text, w);
	if (e == ERR_OK)
		*out = a;
	return e;
}

static enum err classify(struct net_addr *a, struct why *w)
{
	switch (a->sa.ss_family) {
	case AF_INET:
		a->kind = NET_TCP;
		a->loopback = ntohl(((const struct sockaddr_in *)&a->sa)->sin_addr.s_addr) >> 24 == 127;
		return ERR_OK;
	case AF_INET6:
		a->kind = NET_TCP;
		a->loopback = IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->sa)->sin6_addr);
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
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;
	const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&a->sa;
	char host[INET6_ADDRSTRLEN] = "";

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
		if (a->sa.ss_family == AF_INET6) {
			inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
			snprintf(out, NET_TEXT_MAX, "%s://[%s]:%u", scheme, host, ntohs(in6->sin6_port));
		} else {
			inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
			snprintf(out, NET_TEXT_MAX, "%s://%s:%u", scheme, host, ntohs(in->sin_port));
		}
	}
}
