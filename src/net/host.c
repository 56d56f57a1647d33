/* host.c - the parts that addresses have as text: numbers, hosts, paths. */
#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

enum { LABEL_MAX = 63, DIGITS_MAX = 10 };

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t find(struct bytes x, char c)
{
	const uint8_t *at = x.n > 0 ? memchr(x.p, c, x.n) : NULL;
	return at != NULL ? (size_t)(at - x.p) : x.n;
}

bool host_number(struct bytes x, uint32_t least, uint32_t most, uint32_t *out)
{
	uint64_t v = 0;
	if (x.n == 0 || x.n > DIGITS_MAX || (x.n > 1 && x.p[0] == '0'))
		return false;
	for (size_t i = 0; i < x.n; i++) {
		if (!is_digit(x.p[i]))
			return false;
		v = v * 10 + (uint64_t)(x.p[i] - '0');
	}
	if (v < least || v > most)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool host_split(struct host_split *out, struct bytes x)
{
	const bool brackets = x.n > 0 && x.p[0] == '[';
	const size_t n = find(x, brackets ? ']' : ':'), end = brackets ? n + 1 : n;
	if (brackets && n == x.n)
		return false;
	out->brackets = brackets;
	out->host = brackets ? bytes_of(x.p + 1, n - 1) : bytes_of(x.p, n);
	out->rest = bytes_of(x.p + end, x.n - end);
	return true;
}

bool host_port(struct bytes rest, uint32_t least, uint16_t *out)
{
	uint32_t v;
	if (rest.n == 0 || rest.p[0] != ':' || !host_number(bytes_of(rest.p + 1, rest.n - 1), least, UINT16_MAX, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

/* What the resolver would take for a number in one of inet_aton(3)'s many forms, all of which name other hosts than
 * they seem to: 127.1, 010.0.0.1, 0x7f000001, 2130706433. */
static bool ends_in_number(struct bytes host)
{
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--; /* the root's, as in 10.0.0.1. */
	size_t at = host.n;
	while (at > 0 && host.p[at - 1] != '.')
		at--;
	if (host.n - at >= 2 && strncasecmp((const char *)host.p + at, "0x", 2) == 0)
		return true;
	for (; at < host.n; at++)
		if (!is_digit(host.p[at]))
			return false;
	return true;
}

static bool is_name(struct bytes host)
{
	size_t label = 0;
	for (size_t i = 0; i < host.n; i++) {
		const uint8_t c = host.p[i];
		if (c == '.' ? label == 0 : !is_alnum(c) && c != '_' && (c != '-' || label == 0))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	return host.n > 0 && host.n <= NET_HOST_MAX;
}

bool host_is_loopback(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
	return sa->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

static bool read_address(struct net_addr *out, const struct host_split *s, uint16_t port)
{
	struct net_addr a = {.kind = NET_TCP};
	struct sockaddr_in *in = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;
	char text[INET6_ADDRSTRLEN];
	if (s->host.n == 0 || s->host.n >= sizeof text || find(s->host, '\0') < s->host.n)
		return false;
	memcpy(text, s->host.p, s->host.n);
	text[s->host.n] = '\0';
	if (s->brackets) {
		if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
			return false;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		a.len = sizeof *in6;
	} else {
		if (inet_pton(AF_INET, text, &in->sin_addr) != 1)
			return false;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		a.len = sizeof *in;
	}
	a.loopback = host_is_loopback(&a.sa);
	*out = a;
	return true;
}

enum host_form host_read(struct net_addr *out, const struct host_split *s, uint16_t port)
{
	if (s->brackets || ends_in_number(s->host))
		return read_address(out, s, port) ? HOST_ADDRESS : HOST_BAD;
	return is_name(s->host) ? HOST_NAME : HOST_BAD;
}

enum err host_unix(struct net_addr *out, const char *path, const char *forms, struct why *w)
{
	struct net_addr a = {.kind = NET_UNIX};
	struct sockaddr_un *sa = (struct sockaddr_un *)&a.sa;
	const size_t n = strlen(path);

	if (n == 0)
		return why_set(w, ERR_CONFIG, "unix: lacks a path; %s", forms);
	/* An abstract socket has no file, so no mode could keep other users out. */
	if (path[0] == '@')
		return why_set(w, ERR_CONFIG, "abstract sockets are refused, because they have no permissions; %s",
			       forms);
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)path[i] < 0x20 || path[i] == 0x7f)
			return why_set(w, ERR_CONFIG, "the path of a Unix socket has the control character 0x%02x",
				       (unsigned)path[i]);
	if (n >= sizeof sa->sun_path)
		return why_set(w, ERR_CONFIG,
			       "the path of a Unix socket may be at most %zu bytes long, and this is %zu: %s",
			       sizeof sa->sun_path - 1, n, path);
	sa->sun_family = AF_UNIX;
	memcpy(sa->sun_path, path, n + 1);
	a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	*out = a;
	return ERR_OK;
}

void host_vsock(struct net_addr *out, uint32_t cid, uint32_t port)
{
	struct net_addr a = {.kind = NET_VSOCK};
	struct sockaddr_vm *sa = (struct sockaddr_vm *)&a.sa;
	sa->svm_family = AF_VSOCK;
	sa->svm_cid = cid;
	sa->svm_port = port;
	a.len = sizeof *sa;
	*out = a;
}

void host_text(const struct net_addr *a, char out[HOST_TEXT_MAX])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
	char host[INET6_ADDRSTRLEN] = "";
	if (a->sa.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		(void)snprintf(out, HOST_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		(void)snprintf(out, HOST_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
	}
}
