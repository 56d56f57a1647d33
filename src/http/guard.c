/* guard.c - what is refused before a byte of the body is read. */
#include "internal.h"

#include <string.h>
#include <strings.h>

enum {
	EOL = 2,     /* CR and LF */
	RECORD = 64, /* what libmicrohttpd's pool pays for a header line, query parameter or cookie beside its bytes */
	REPLY_ROOM = 512, /* what must be left of the pool: a request whose reply finds no room would run unanswered */
};

/* What one walk over the headers gathers. libmicrohttpd accepts much that two parsers would read differently; since it
 * has parsed the request already, the only safe answer to any of it is 400 and an end to the connection. */
struct headers {
	unsigned hosts, lengths, encodings, expects, types, origins, sites;
	struct bytes host, length, encoding, expect, type, origin, site;
	bool bad_name, bad_value, lost, coded;
	size_t cookies;	  /* bytes, which libmicrohttpd has copied */
	const char *next; /* where in libmicrohttpd's buffer the next line must begin */
};

static bool is_token_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (!is_token_char(b.p[i]))
			return false;
	return b.n > 0;
}

static inline bool name_is(struct bytes name, const char *want)
{
	return name.n == strlen(want) && strncasecmp((const char *)name.p, want, name.n) == 0;
}

static void keep(unsigned *count, struct bytes *slot, struct bytes value)
{
	(*count)++;
	*slot = value;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
				 size_t value_n)
{
	struct headers *h = cls;
	const struct bytes name = bytes_of(key, key_n), v = bytes_of(value, value_n);
	(void)kind;
	if (key != h->next)
		h->lost = true;
	for (const char *c = key + key_n + 1; !h->lost && c != value; c++)
		h->lost = *c != ' ' && *c != '\t';
	h->next = value + value_n + EOL;
	if (!is_token(name))
		h->bad_name = true;
	for (size_t i = 0; i < v.n; i++)
		if ((v.p[i] < 0x20 && v.p[i] != '\t') || v.p[i] == 0x7f)
			h->bad_value = true;
	if (name_is(name, "Host"))
		keep(&h->hosts, &h->host, v);
	else if (name_is(name, "Content-Length"))
		keep(&h->lengths, &h->length, v);
	else if (name_is(name, "Transfer-Encoding"))
		keep(&h->encodings, &h->encoding, v);
	else if (name_is(name, "Expect"))
		keep(&h->expects, &h->expect, v);
	else if (name_is(name, "Content-Type"))
		keep(&h->types, &h->type, v);
	else if (name_is(name, "Content-Encoding"))
		h->coded = h->coded || (v.n > 0 && !name_is(v, "identity"));
	else if (name_is(name, "Cookie"))
		h->cookies += v.n + 1;
	else if (name_is(name, "Origin"))
		keep(&h->origins, &h->origin, v);
	else if (name_is(name, "Sec-Fetch-Site"))
		keep(&h->sites, &h->site, v);
	return MHD_YES;
}

static enum err check_framing(const struct http_req *r, const struct headers *h, const char *version, struct why *w)
{
	const bool http11 = strcmp(version, "HTTP/1.1") == 0;
	if (!http11 && strcmp(version, "HTTP/1.0") != 0)
		return why_tell(w, ERR_MALFORMED, NULL, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
	if (r->target[0] != '/')
		return why_tell(w, ERR_MALFORMED, NULL, "The request target must be a path that begins with `/`.");
	for (const char *c = r->target; *c != '\0'; c++)
		if (*c <= 0x20 || *c == 0x7f || *c == '#')
			return why_tell(w, ERR_MALFORMED, NULL,
					"The request target holds a character that must be percent-encoded.");
	if (h->bad_name)
		return why_tell(w, ERR_MALFORMED, NULL,
				"A header's name is empty or holds a character that no name may.");
	if (h->bad_value)
		return why_tell(w, ERR_MALFORMED, NULL, "A header's value holds a control character.");
	if (h->hosts != 1)
		return why_tell(w, ERR_MALFORMED, NULL, "There must be exactly one Host header, not %u.", h->hosts);
	if (h->lengths > 1)
		return why_tell(w, ERR_MALFORMED, NULL, "There is more than one Content-Length header.");
	for (size_t i = 0; i < h->length.n; i++)
		if (h->length.p[i] < '0' || h->length.p[i] > '9')
			return why_tell(w, ERR_MALFORMED, NULL, "The Content-Length is not a number.");
	if (h->lengths == 1 && (h->length.n == 0 || h->length.n > 18))
		return why_tell(w, ERR_MALFORMED, NULL, "The Content-Length is empty or absurdly large.");
	if (h->encodings > 1 || (h->encodings == 1 && !bytes_is(h->encoding, "chunked")))
		return why_tell(w, ERR_MALFORMED, NULL, "The only Transfer-Encoding taken is `chunked`, once.");
	if (h->encodings == 1 && (h->lengths > 0 || !http11))
		return why_tell(w, ERR_MALFORMED, NULL,
				"Transfer-Encoding cannot stand beside Content-Length or in HTTP/1.0.");
	if (h->expects > 1 || (h->expects == 1 && !name_is(h->expect, "100-continue")))
		return why_tell(w, ERR_MALFORMED, NULL, "The only Expect taken is `100-continue`, once.");
	if (h->types > 1 || h->origins > 1 || h->sites > 1)
		return why_tell(w, ERR_MALFORMED, NULL,
				"Content-Type, Origin and Sec-Fetch-Site may each stand once at most.");
	return ERR_OK;
}

/* libmicrohttpd parses in place, and drops without a word what follows a NUL and all lines behind one that begins with
 * a colon or a NUL: it takes that for the end of the header, and the rest for a body or for the next request. A bare LF
 * or a folded line reads differently elsewhere, too. None of it is left when each part begins where the one before
 * ends. */
static enum err check_whole(const struct http_req *r, struct headers *h, const char *method, const char *version,
			    struct why *w)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->mc, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	h->next = version + strlen(version) + EOL;
	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, on_header, h);
	if (h->lost || info == NULL || r->raw_target != method + strlen(method) + 1 ||
	    version != r->raw_target + r->target_n + 1 || h->next + EOL != method + info->header_size)
		return why_tell(w, ERR_MALFORMED, NULL,
				"The header holds a NUL, a folded line, a line without a name, a line that does not "
				"end with CR and LF, or a space too many.");
	const size_t records = (size_t)MHD_get_connection_values_n(
		r->mc, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND | MHD_COOKIE_KIND, NULL, NULL);
	/* One more for what guard_trailers lets pass. */
	if (info->header_size + h->cookies + (records + 1) * RECORD > HTTP_POOL - REPLY_ROOM)
		return why_tell(w, ERR_MALFORMED, NULL, "The header is too long.");
	return ERR_OK;
}

/* host [":" port]: the host is a registered name, an IPv4 address or a bracketed IPv6 address. */
static bool split_host(struct bytes host, struct bytes *name)
{
	size_t i = 0;
	if (host.n > 0 && host.p[0] == '[') {
		for (i = 1; i < host.n && host.p[i] != ']'; i++)
			if (memchr("0123456789abcdefABCDEF:.", host.p[i], 24) == NULL)
				return false;
		if (i == host.n || i == 1)
			return false;
		i++;
	} else {
		while (i < host.n && host.p[i] != ':') {
			const uint8_t c = host.p[i++];
			const bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
					c == '-' || c == '.' || c == '_';
			if (!ok)
				return false;
		}
		if (i == 0)
			return false;
	}
	*name = (struct bytes){host.p, i};
	if (i == host.n)
		return true;
	if (host.p[i] != ':' || host.n - i - 1 > 5)
		return false;
	for (size_t k = i + 1; k < host.n; k++)
		if (host.p[k] < '0' || host.p[k] > '9')
			return false;
	return host.n > i + 1;
}

static bool is_listed(struct bytes name, const char *list)
{
	while (*list != '\0') {
		const size_t n = strcspn(list, ",");
		if (n == name.n && strncasecmp(list, (const char *)name.p, n) == 0)
			return true;
		list += list[n] == ',' ? n + 1 : n;
	}
	return false;
}

static enum err check_host(const struct http_req *r, struct bytes name, struct why *w)
{
	const struct http_listener *how = &r->conn->from->how;
	if (how->any_host || name_is(name, "localhost") || name_is(name, "127.0.0.1") || name_is(name, "[::1]") ||
	    is_listed(name, how->hosts))
		return ERR_OK;
	return why_tell(w, ERR_HOST, NULL,
			"This listener answers to localhost, 127.0.0.1%s: a page whose name points here must not reach "
			"it.",
			how->hosts[0] != '\0' ? ", [::1] and the names in allowed_hosts only" : " and [::1] only");
}

static enum err check_origin(const struct headers *h, struct why *w)
{
	/* Our own pages would be "http://" + Host. There are none, but the rule then needs no exception. */
	if (h->origins == 1) {
		const size_t scheme = h->origin.n > 8 && memcmp(h->origin.p, "https://", 8) == 0  ? 8
				      : h->origin.n > 7 && memcmp(h->origin.p, "http://", 7) == 0 ? 7
												  : 0;
		const struct bytes rest = {h->origin.p + scheme, h->origin.n - scheme};
		if (scheme == 0 || rest.n != h->host.n ||
		    strncasecmp((const char *)rest.p, (const char *)h->host.p, rest.n) != 0)
			return why_tell(w, ERR_ORIGIN, NULL,
					"The Origin header names another origin than this server.");
	}
	if (h->sites == 1 && !name_is(h->site, "same-origin") && !name_is(h->site, "none"))
		return why_tell(w, ERR_ORIGIN, NULL, "Sec-Fetch-Site says that a page of another origin sent this.");
	return ERR_OK;
}

static bool is_json_type(struct bytes type)
{
	static const char json[] = "application/json";
	const size_t n = sizeof json - 1;
	if (type.n < n || strncasecmp((const char *)type.p, json, n) != 0)
		return false;
	for (size_t i = n; i < type.n; i++) {
		if (type.p[i] == ';')
			return true;
		if (type.p[i] != ' ' && type.p[i] != '\t')
			return false;
	}
	return true;
}

static uint64_t length_of(const struct headers *h)
{
	uint64_t n = 0;
	for (size_t i = 0; i < h->length.n; i++)
		n = n * 10 + (uint64_t)(h->length.p[i] - '0');
	return n;
}

static enum err check_type(struct http_req *r, const struct headers *h, struct why *w)
{
	if (r->route->body == HTTP_RAW_BODY) {
		if (h->type.n > HTTP_TYPE_MAX)
			return why_tell(w, ERR_INVALID, "Content-Type", "Must be at most %d bytes long.",
					HTTP_TYPE_MAX);
		if (h->type.n > 0)
			memcpy(r->content_type, h->type.p, h->type.n);
	} else if (h->types == 0 || !is_json_type(h->type)) {
		return why_tell(w, ERR_MEDIA_TYPE, NULL, "Send the body with `Content-Type: application/json`.");
	}
	return ERR_OK;
}

static enum err check_body(struct http_req *r, const struct headers *h, bool *hard, struct why *w)
{
	if (r->route->body == HTTP_NO_BODY) {
		if (!r->has_body)
			return ERR_OK;
		*hard = true;
		return why_tell(w, ERR_MALFORMED, NULL, "This method takes no request body here.");
	}
	const enum err e = check_type(r, h, w);
	if (e != ERR_OK)
		return e;
	if (h->coded)
		return why_tell(w, ERR_MEDIA_TYPE, NULL, "Send the body without a Content-Encoding.");
	if (r->content_length > r->body.max)
		return why_tell(w, ERR_TOO_LARGE, NULL, "The body is longer than the %zu bytes taken here.",
				r->body.max);
	return ERR_OK;
}

struct trailers {
	struct bytes name, value; /* of the last header */
	bool any;
};

static enum MHD_Result on_last(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
			       size_t value_n)
{
	struct trailers *t = cls;
	(void)kind;
	t->name = bytes_of(key, key_n);
	t->value = bytes_of(value, value_n);
	return MHD_YES;
}

static enum MHD_Result on_trailer(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value,
				  size_t value_n)
{
	struct trailers *t = cls;
	const struct bytes name = bytes_of(key, key_n), v = bytes_of(value, value_n);
	(void)kind;
	t->any |= name.p != t->name.p || name.n != t->name.n || v.p != t->value.p || v.n != t->value.n;
	return MHD_YES;
}

/* When the empty line behind the last chunk comes in two pieces, libmicrohttpd takes the first for a line that
 * continues the last header, and tells of that header once more, as a trailer: the very same bytes, not a copy. */
bool guard_trailers(const struct http_req *r)
{
	struct trailers t = {0};
	if (MHD_get_connection_values_n(r->mc, MHD_FOOTER_KIND, NULL, NULL) == 0)
		return false;
	(void)MHD_get_connection_values_n(r->mc, MHD_HEADER_KIND, on_last, &t);
	(void)MHD_get_connection_values_n(r->mc, MHD_FOOTER_KIND, on_trailer, &t);
	return t.any;
}

enum err guard_check(struct http_req *r, const char *method, const char *version, bool *hard, struct why *w)
{
	struct headers h = {0};
	*hard = true;
	enum err e = check_whole(r, &h, method, version, w);
	if (e != ERR_OK || (e = check_framing(r, &h, version, w)) != ERR_OK)
		return e;
	/* libmicrohttpd takes a line that begins with a NUL, and at times one that begins with a colon, for the end of
	 * a chunked body, and what follows for the next request; nothing tells us of it. */
	r->close = h.encodings == 1;
	if (!is_token(bytes_str(method)))
		return why_tell(w, ERR_MALFORMED, NULL, "The method is not a token.");
	struct bytes host;
	if (!split_host(h.host, &host))
		return why_tell(w, ERR_MALFORMED, NULL, "The Host header is not a host name with an optional port.");

	/* From here on the framing is sound, so the body may be read and thrown away. A client that waits for 100
	 * Continue is told at once instead, and so must be one whose body is beyond reading. */
	r->content_length = length_of(&h);
	r->has_body = h.encodings == 1 || r->content_length > 0;
	*hard = h.expects == 1 || r->content_length > r->body.max + HTTP_DISCARD_MAX;
	if ((e = check_host(r, host, w)) != ERR_OK || (e = check_origin(&h, w)) != ERR_OK)
		return e;
	if ((e = route_find(r, method, w)) != ERR_OK)
		return e;
	r->body.max = request_body_max(r, r->route);
	*hard = h.expects == 1 || r->content_length > r->body.max + HTTP_DISCARD_MAX;
	return check_body(r, &h, hard, w);
}
