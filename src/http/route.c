/* route.c - finding a route by its raw path, and the query's parameters. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

/* "/keys/{key_id}/decrypt" matches "/keys/X/decrypt" for any non-empty X without a slash or a percent sign: paths are
 * compared as received, so an encoded spelling of a path is another path. */
static bool path_matches(const char *pattern, struct bytes path, struct bytes *param)
{
	size_t i = 0;
	while (i < path.n && pattern[i] != '{' && pattern[i] == (char)path.p[i])
		i++;
	*param = (struct bytes){NULL, 0};
	if (pattern[i] != '{')
		return i == path.n && pattern[i] == '\0';
	const char *behind = strchr(pattern + i, '}') + 1;
	const size_t behind_n = strlen(behind);
	if (path.n - i <= behind_n || memcmp(path.p + path.n - behind_n, behind, behind_n) != 0)
		return false;
	*param = (struct bytes){path.p + i, path.n - i - behind_n};
	return memchr(param->p, '/', param->n) == NULL && memchr(param->p, '%', param->n) == NULL;
}

static struct bytes path_of(const struct http_req *r)
{
	return bytes_of(r->target, r->path_n);
}

static bool method_matches(const struct http_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

enum err route_find(struct http_req *r, const char *method, struct why *w)
{
	const struct http_server *s = r->server;
	bool known = false;
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct http_route *route = &s->routes[i];
		struct bytes param;
		if ((route->reach & r->reach) == 0 || !path_matches(route->path, path_of(r), &param))
			continue;
		known = true;
		if (method_matches(route, method)) {
			r->route = route;
			r->param = param;
			return ERR_OK;
		}
	}
	if (!known)
		return why_tell(w, ERR_NOT_FOUND, NULL, "There is nothing at this path; GET / lists what there is.");
	char allow[64];
	route_allow(r, allow, sizeof allow);
	return why_tell(w, ERR_METHOD, NULL, "This path answers to %s.", allow);
}

void route_allow(const struct http_req *r, char *out, size_t n)
{
	const struct http_server *s = r->server;
	struct buf b = BUF_INIT(n);
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct http_route *route = &s->routes[i];
		struct bytes param;
		if ((route->reach & r->reach) == 0 || !path_matches(route->path, path_of(r), &param))
			continue;
		buf_printf(&b, "%s%s", b.n > 0 ? ", " : "", route->method);
		if (strcmp(route->method, "GET") == 0)
			buf_put_str(&b, ", HEAD");
	}
	const char *text = buf_cstr(&b);
	(void)snprintf(out, n, "%s", text != NULL ? text : "GET");
	buf_free(&b);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 only: `+` stays a plus sign, because base64 nonces are written with it. */
static bool percent_decode(struct bytes in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] != '%') {
			buf_put_u8(out, in.p[i]);
			continue;
		}
		if (i + 2 >= in.n)
			return false;
		const int hi = hex_digit(in.p[i + 1]), lo = hex_digit(in.p[i + 2]);
		if (hi < 0 || lo < 0)
			return false;
		buf_put_u8(out, (uint8_t)(hi << 4 | lo));
		i += 2;
	}
	return true;
}

/* The next `name=value` of the query, decoded into both buffers; false at the end. */
static bool next_param(struct bytes *rest, struct buf *name, struct buf *value, bool *bad)
{
	while (rest->n > 0) {
		const uint8_t *amp = memchr(rest->p, '&', rest->n);
		const struct bytes one = {rest->p, amp != NULL ? (size_t)(amp - rest->p) : rest->n};
		const size_t used = one.n + (amp != NULL);
		*rest = (struct bytes){rest->p + used, rest->n - used};
		if (one.n == 0)
			continue;
		const uint8_t *eq = memchr(one.p, '=', one.n);
		const size_t name_n = eq != NULL ? (size_t)(eq - one.p) : one.n;
		const size_t skip = name_n + (eq != NULL);
		buf_reset(name);
		buf_reset(value);
		*bad = !percent_decode((struct bytes){one.p, name_n}, name) ||
		       !percent_decode((struct bytes){one.p + skip, one.n - skip}, value) || name->failed ||
		       value->failed;
		return true;
	}
	return false;
}

static struct bytes query_of(const struct http_req *r)
{
	const size_t n = r->target_n;
	return r->path_n < n ? bytes_of(r->target + r->path_n + 1, n - r->path_n - 1) : (struct bytes){NULL, 0};
}

enum err http_query(const struct http_req *r, const char *name, struct buf *out, bool *present, struct why *w)
{
	enum err e = ERR_OK;
	bool bad = false, found = false;
	struct bytes rest = query_of(r);
	struct buf n = BUF_INIT(HTTP_QUERY_MAX), v = BUF_INIT(HTTP_QUERY_MAX);
	while (next_param(&rest, &n, &v, &bad)) {
		if (bad) {
			e = why_tell(w, ERR_INVALID, name, "The query has a broken percent-encoding or is too long.");
			goto out;
		}
		if (!bytes_is(buf_bytes(&n), name))
			continue;
		if (found) {
			e = why_tell(w, ERR_INVALID, name, "Given more than once in the query.");
			goto out;
		}
		found = true;
		buf_put_bytes(out, buf_bytes(&v));
	}
	if ((e = buf_check(out, w)) == ERR_OK)
		*present = found;
out:
	buf_free(&n);
	buf_free(&v);
	return e;
}

enum err http_query_only(const struct http_req *r, const char *const *names, struct why *w)
{
	enum err e = ERR_OK;
	bool bad = false;
	struct bytes rest = query_of(r);
	struct buf n = BUF_INIT(HTTP_QUERY_MAX), v = BUF_INIT(HTTP_QUERY_MAX);
	while (e == ERR_OK && next_param(&rest, &n, &v, &bad)) {
		bool known = false;
		for (const char *const *name = names; *name != NULL; name++)
			known = known || bytes_is(buf_bytes(&n), *name);
		if (bad)
			e = why_tell(w, ERR_INVALID, "query",
				     "A percent-encoding is broken or a parameter is too long.");
		else if (!known)
			e = why_tell(w, ERR_INVALID, "query", "There is a parameter that this path does not know.");
	}
	buf_free(&n);
	buf_free(&v);
	return e;
}
