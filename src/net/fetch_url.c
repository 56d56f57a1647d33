/* fetch_url.c - what a URL of a server says, read in one way only. */
#include "fetch.h"

#include <string.h>
#include <strings.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "host.h"

#define FORMS                                                                                  \
	"use http://HOST[:PORT][/PREFIX], unix:PATH or vsock:CID:PORT, and for TLS https://, " \
	"https+unix: or https+vsock:"

enum { SHOWN_MAX = 64 };

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static struct bytes from(struct bytes x, size_t at)
{
	return bytes_of(x.p + at, x.n - at);
}

static size_t find(struct bytes x, char c)
{
	const uint8_t *at = x.n > 0 ? memchr(x.p, c, x.n) : NULL;
	return at != NULL ? (size_t)(at - x.p) : x.n;
}

static bool starts(struct bytes x, const char *with)
{
	const size_t n = strlen(with);
	return x.n >= n && strncasecmp((const char *)x.p, with, n) == 0;
}

static void keep(char *out, struct bytes x)
{
	if (x.n > 0)
		memcpy(out, x.p, x.n);
	out[x.n] = '\0';
}

/* x: "HOST[:PORT]". */
static enum err parse_authority(struct fetch_url *out, struct bytes x, struct why *w)
{
	struct host_split s;
	struct net_addr address;
	uint16_t port;
	if (find(x, '@') < x.n)
		return why_tell(w, ERR_INVALID, NULL,
				"a URL with a user's name or a password in it is refused; " FORMS);
	if (!host_split(&s, x))
		return why_tell(w, ERR_INVALID, NULL, "the URL lacks the ] of its IPv6 address; " FORMS);
	if (s.host.n == 0 || s.host.n > FETCH_HOST_MAX)
		return why_tell(w, ERR_INVALID, NULL, "a URL's host has 1 to %d bytes, and this one has %zu; " FORMS,
				(int)FETCH_HOST_MAX, s.host.n);
	if (s.rest.n > 0 && !host_port(s.rest, 1, &port))
		return why_tell(w, ERR_INVALID, NULL, "the URL has no port from 1 to 65535 behind its host; " FORMS);
	if (host_read(&address, &s, 0) == HOST_BAD)
		return why_tell(w, ERR_INVALID, NULL, "\"%.*s\" is neither a host's name nor an IP address; " FORMS,
				(int)(s.host.n < SHOWN_MAX ? s.host.n : SHOWN_MAX), (const char *)s.host.p);
	out->kind = NET_TCP;
	keep(out->host, s.host);
	keep(out->port, s.rest.n > 0 ? from(s.rest, 1) : out->tls ? BYTES_LIT("443") : BYTES_LIT("80"));
	keep(out->authority, x);
	return ERR_OK;
}

/* Index of the first byte that a path may not have; x.n if there is none. */
static size_t not_of_a_path(struct bytes x)
{
	size_t i = 0;
	while (i < x.n) {
		if (x.p[i] == '%' && x.n - i > 2 && is_hex(x.p[i + 1]) && is_hex(x.p[i + 2]))
			i += 3;
		else if (is_alnum(x.p[i]) || (x.p[i] != '\0' && strchr("-._~!$&'()*+,;=:@/", x.p[i]) != NULL))
			i++;
		else
			break;
	}
	return i;
}

static enum err parse_http(struct fetch_url *out, struct bytes x, struct why *w)
{
	const size_t n = find(x, '/');
	struct bytes path = from(x, n);
	if (find(x, '?') < x.n || find(x, '#') < x.n)
		return why_tell(w, ERR_INVALID, NULL, "a server's URL has no query and no fragment; " FORMS);
	const enum err e = parse_authority(out, bytes_of(x.p, n), w);
	if (e != ERR_OK)
		return e;
	const size_t bad = not_of_a_path(path);
	if (bad < path.n)
		return why_tell(w, ERR_INVALID, NULL,
				"the URL's path cannot have the byte 0x%02x; write it as %%%02X; " FORMS, path.p[bad],
				path.p[bad]);
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	keep(out->prefix, path);
	return ERR_OK;
}

static enum err parse_unix(struct fetch_url *out, struct bytes path, struct why *w)
{
	if (path.n == 0 || path.n > FETCH_UNIX_MAX)
		return why_tell(w, ERR_INVALID, NULL,
				"the path of a Unix socket has 1 to %d bytes, and this one has %zu; " FORMS,
				(int)FETCH_UNIX_MAX, path.n);
	if (path.p[0] == '@')
		return why_tell(w, ERR_INVALID, NULL,
				"abstract sockets are not asked, because anybody can make one; " FORMS);
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] < 0x20 || path.p[i] == 0x7f)
			return why_tell(w, ERR_INVALID, NULL,
					"the path of a Unix socket has the control character 0x%02x", path.p[i]);
	out->kind = NET_UNIX;
	keep(out->host, path);
	keep(out->authority, BYTES_LIT("localhost"));
	return ERR_OK;
}

static enum err parse_vsock(struct fetch_url *out, struct bytes x, struct why *w)
{
	const size_t n = find(x, ':');
	uint32_t cid, port;
	if (n == x.n || !host_number(bytes_of(x.p, n), 0, VMADDR_CID_ANY - 1, &cid) ||
	    !host_number(from(x, n + 1), 1, VMADDR_PORT_ANY - 1, &port))
		return why_tell(w, ERR_INVALID, NULL,
				"vsock: lacks a CID from 0 to %u and a port from 1 to %u, as in vsock:16:9000; " FORMS,
				VMADDR_CID_ANY - 1, VMADDR_PORT_ANY - 1);
	out->kind = NET_VSOCK;
	keep(out->host, bytes_of(x.p, n));
	keep(out->port, from(x, n + 1));
	keep(out->authority, BYTES_LIT("localhost"));
	return ERR_OK;
}

enum err fetch_url_parse(struct fetch_url *out, struct bytes text, struct why *w)
{
	static const struct {
		const char *scheme;
		bool tls;
		enum err (*parse)(struct fetch_url *out, struct bytes rest, struct why *w);
	} schemes[] = {
		{"http://", false, parse_http}, {"unix:", false, parse_unix},	   {"vsock:", false, parse_vsock},
		{"https://", true, parse_http}, {"https+unix:", true, parse_unix}, {"https+vsock:", true, parse_vsock},
	};
	if (text.n > FETCH_URL_MAX)
		return why_tell(w, ERR_INVALID, NULL, "a URL may have %d bytes, and this one has %zu",
				(int)FETCH_URL_MAX, text.n);
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		struct fetch_url made = {.tls = schemes[i].tls};
		if (!starts(text, schemes[i].scheme))
			continue;
		const enum err e = schemes[i].parse(&made, from(text, strlen(schemes[i].scheme)), w);
		if (e == ERR_OK)
			*out = made;
		return e;
	}
	return why_tell(w, ERR_INVALID, NULL, "\"%.*s\" is no URL of a server; " FORMS,
			(int)(text.n < SHOWN_MAX ? text.n : SHOWN_MAX), text.n > 0 ? (const char *)text.p : "");
}
