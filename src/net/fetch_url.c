/* fetch_url.c - what a URL of a server says, read in one way only. */
#include "fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#define FORMS "use http://HOST[:PORT][/PREFIX], unix:PATH or vsock:CID:PORT"

enum { LABEL_MAX = 63, PORT_DIGITS = 5, VSOCK_DIGITS = 10, SHOWN_MAX = 64 };

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

/* A decimal number in its shortest form, so that one number has one text. */
static bool is_number(struct bytes x, size_t digits, uint64_t least, uint64_t most)
{
	uint64_t v = 0;
	if (x.n == 0 || x.n > digits || (x.n > 1 && x.p[0] == '0'))
		return false;
	for (size_t i = 0; i < x.n; i++) {
		if (!is_digit(x.p[i]))
			return false;
		v = v * 10 + (uint64_t)(x.p[i] - '0');
	}
	return v >= least && v <= most;
}

/* What the resolver would take for a number in one of inet_aton(3)'s many forms, all of which name other hosts than
 * they seem to: 127.1, 010.0.0.1, 0x7f000001, 2130706433. */
static bool ends_in_number(struct bytes host)
{
	size_t at = host.n;
	while (at > 0 && host.p[at - 1] != '.')
		at--;
	const struct bytes label = from(host, at);
	if (starts(label, "0x"))
		return true;
	for (size_t i = 0; i < label.n; i++)
		if (!is_digit(label.p[i]))
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
	return label > 0;
}

static enum err bad_host(struct bytes host, struct why *w)
{
	return why_tell(w, ERR_INVALID, NULL, "\"%.*s\" is neither a host's name nor an IP address; " FORMS,
			(int)(host.n < SHOWN_MAX ? host.n : SHOWN_MAX), (const char *)host.p);
}

static enum err check_host(const char *host, bool brackets, struct why *w)
{
	struct in6_addr addr;
	const struct bytes x = bytes_str(host);
	const bool good = brackets	      ? inet_pton(AF_INET6, host, &addr) == 1
			  : ends_in_number(x) ? inet_pton(AF_INET, host, &addr) == 1
					      : is_name(x);
	return good ? ERR_OK : bad_host(x, w);
}

/* x: "HOST[:PORT]". */
static enum err parse_authority(struct fetch_url *out, struct bytes x, struct why *w)
{
	if (find(x, '@') < x.n)
		return why_tell(w, ERR_INVALID, NULL,
				"a URL with a user's name or a password in it is refused; " FORMS);
	const bool brackets = x.n > 0 && x.p[0] == '[';
	const size_t n = brackets ? find(x, ']') : find(x, ':');
	if (brackets && n == x.n)
		return why_tell(w, ERR_INVALID, NULL, "the URL lacks the ] of its IPv6 address; " FORMS);
	const struct bytes host = brackets ? bytes_of(x.p + 1, n - 1) : bytes_of(x.p, n);
	const struct bytes rest = from(x, brackets ? n + 1 : n);
	if (host.n == 0 || host.n > FETCH_HOST_MAX)
		return why_tell(w, ERR_INVALID, NULL, "a URL's host has 1 to %d bytes, and this one has %zu; " FORMS,
				(int)FETCH_HOST_MAX, host.n);
	if (memchr(host.p, 0, host.n) != NULL)
		return bad_host(host, w);
	if (rest.n > 0 && (rest.p[0] != ':' || !is_number(from(rest, 1), PORT_DIGITS, 1, UINT16_MAX)))
		return why_tell(w, ERR_INVALID, NULL, "the URL has no port from 1 to 65535 behind its host; " FORMS);
	out->kind = NET_TCP;
	keep(out->host, host);
	keep(out->port, rest.n > 0 ? from(rest, 1) : BYTES_LIT("80"));
	keep(out->authority, x);
	return check_host(out->host, brackets, w);
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
	if (n == x.n || !is_number(bytes_of(x.p, n), VSOCK_DIGITS, 0, VMADDR_CID_ANY - 1) ||
	    !is_number(from(x, n + 1), VSOCK_DIGITS, 1, VMADDR_PORT_ANY - 1))
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
	struct fetch_url made = {.kind = NET_TCP};
	enum err e;
	if (text.n > FETCH_URL_MAX)
		return why_tell(w, ERR_INVALID, NULL, "a URL may have %d bytes, and this one has %zu",
				(int)FETCH_URL_MAX, text.n);
	if (starts(text, "http://"))
		e = parse_http(&made, from(text, strlen("http://")), w);
	else if (starts(text, "unix:"))
		e = parse_unix(&made, from(text, strlen("unix:")), w);
	else if (starts(text, "vsock:"))
		e = parse_vsock(&made, from(text, strlen("vsock:")), w);
	else if (starts(text, "https:"))
		e = why_tell(
			w, ERR_INVALID, NULL,
			"https is not supported by this client yet. The connection itself needs no TLS, because sessions "
			"and documents are protected from end to end; " FORMS);
	else
		e = why_tell(w, ERR_INVALID, NULL, "\"%.*s\" is no URL of a server; " FORMS,
			     (int)(text.n < SHOWN_MAX ? text.n : SHOWN_MAX), text.n > 0 ? (const char *)text.p : "");
	if (e == ERR_OK)
		*out = made;
	return e;
}
