/* target.c - what can be connected to, as text. */
#include "net.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "host.h"

#define FORMS "use tcp:HOST:PORT, tcp:[IPV6]:PORT, unix:PATH or vsock:CID:PORT"

enum { SHOWN_MAX = 64 };

/* Written without `tcp:`, these would be hosts that look like another form of address: UNIX:80. */
static bool is_scheme(struct bytes host)
{
	static const char *const schemes[] = {"tcp", "unix", "vsock"};
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (host.n == strlen(schemes[i]) && strncasecmp((const char *)host.p, schemes[i], host.n) == 0)
			return true;
	return false;
}

static enum err parse_tcp(struct net_target *out, const char *text, bool marked, struct why *w)
{
	struct host_split s;
	uint16_t port;
	if (!host_split(&s, bytes_str(text)))
		return why_set(w, ERR_CONFIG, "\"%.*s\" lacks the ] of its IPv6 address; " FORMS, SHOWN_MAX, text);
	if (!marked && (s.rest.n == 0 || is_scheme(s.host)))
		return why_set(w, ERR_CONFIG, "\"%.*s\" is no address; " FORMS, SHOWN_MAX, text);
	if (!host_port(s.rest, 1, &port))
		return why_set(w, ERR_CONFIG, "\"%.*s\" has no port from 1 to 65535 behind its host; " FORMS, SHOWN_MAX,
			       text);
	if (s.host.n == 0 || s.host.n > NET_HOST_MAX)
		return why_set(w, ERR_CONFIG, "a host has 1 to %d bytes, and this one has %zu; " FORMS,
			       (int)NET_HOST_MAX, s.host.n);
	switch (host_read(&out->addr, &s, port)) {
	case HOST_ADDRESS:
		return ERR_OK;
	case HOST_NAME:
		out->addr.kind = NET_TCP;
		memcpy(out->host, s.host.p, s.host.n);
		out->port = port;
		return ERR_OK;
	default:
		return why_set(w, ERR_CONFIG, "\"%.*s\" is neither a host's name nor an IP address; " FORMS,
			       s.host.n < SHOWN_MAX ? (int)s.host.n : SHOWN_MAX, (const char *)s.host.p);
	}
}

static enum err parse_vsock(struct net_target *out, const char *text, struct why *w)
{
	const char *colon = strchr(text, ':');
	uint32_t cid, port;
	if (colon == NULL || !host_number(bytes_of(text, (size_t)(colon - text)), 0, VMADDR_CID_ANY - 1, &cid) ||
	    !host_number(bytes_str(colon + 1), 1, VMADDR_PORT_ANY - 1, &port))
		return why_set(w, ERR_CONFIG,
			       "vsock: lacks a CID from 0 to %u and a port from 1 to %u, as in vsock:16:5005; " FORMS,
			       VMADDR_CID_ANY - 1, VMADDR_PORT_ANY - 1);
	host_vsock(&out->addr, cid, port);
	return ERR_OK;
}

enum err net_target_parse(struct net_target *out, const char *text, struct why *w)
{
	struct net_target t = {0};
	enum err e;
	if (strncmp(text, "unix:", 5) == 0)
		e = host_unix(&t.addr, text + 5, FORMS, w);
	else if (strncmp(text, "vsock:", 6) == 0)
		e = parse_vsock(&t, text + 6, w);
	else if (strncmp(text, "tcp:", 4) == 0)
		e = parse_tcp(&t, text + 4, true, w);
	else
		e = parse_tcp(&t, text, false, w);
	if (e == ERR_OK)
		*out = t;
	return e;
}

void net_target_text(const struct net_target *t, char out[NET_TARGET_MAX])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&t->addr.sa;
	const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&t->addr.sa;
	char host[HOST_TEXT_MAX];

	switch (t->addr.kind) {
	case NET_UNIX:
		(void)snprintf(out, NET_TARGET_MAX, "unix:%.*s", (int)sizeof un->sun_path, un->sun_path);
		return;
	case NET_VSOCK:
		(void)snprintf(out, NET_TARGET_MAX, "vsock:%u:%u", vm->svm_cid, vm->svm_port);
		return;
	case NET_TCP:
		if (t->host[0] != '\0') {
			(void)snprintf(out, NET_TARGET_MAX, "tcp:%s:%u", t->host, t->port);
		} else {
			host_text(&t->addr, host);
			(void)snprintf(out, NET_TARGET_MAX, "tcp:%s", host);
		}
	}
}
