/* fetch_problem.c - what a server says when it refuses: an RFC 9457 document, read as a sentence. */
#include "fetch.h"

#include <string.h>
#include <strings.h>

#include "base/encode.h"
#include "json.h"

/* A byte takes up to ESCAPE_MAX when it is escaped. */
enum { SAID_MAX = 400, PROBLEM_MAX = 64 * 1024, ESCAPE_MAX = 6 };

static bool is_problem(const struct fetch_reply *r)
{
	static const char type[] = "application/problem+json";
	const size_t n = strcspn(r->content_type, "; \t");
	return n == sizeof type - 1 && strncasecmp(r->content_type, type, n) == 0 && r->body.n <= PROBLEM_MAX;
}

/* The member, or nothing if it is too long to be a sentence. */
static struct bytes said(const struct json_value *object, const char *name)
{
	const struct json_value *v = json_type(object) == JSON_OBJECT ? json_get(object, name) : NULL;
	if (v == NULL || json_type(v) != JSON_STRING)
		return bytes_of(NULL, 0);
	return json_string(v).n <= SAID_MAX ? json_string(v) : bytes_of(NULL, 0);
}

static void put(struct buf *out, const char *before, struct bytes x, const char *after)
{
	if (x.n == 0)
		return;
	buf_put_str(out, before);
	buf_put_plain(out, x);
	buf_put_str(out, after);
}

static void put_first_error(struct buf *out, const struct json_value *root)
{
	const struct json_value *errors = json_get(root, "errors"), *first = NULL;
	if (errors == NULL || json_type(errors) != JSON_ARRAY || !json_next(errors, NULL, &first))
		return;
	const struct bytes message = said(first, "message");
	if (message.n == 0)
		return;
	const struct bytes field = said(first, "field");
	put(out, ": ", field, "");
	put(out, ": ", message, "");
}

/* The detail says most; where there is none, the first error does, and then the title. */
static void put_problem(struct buf *out, const struct json_value *root)
{
	const size_t before = out->n;
	put(out, ": ", said(root, "detail"), "");
	if (out->n == before)
		put_first_error(out, root);
	if (out->n == before)
		put(out, ": ", said(root, "title"), "");
	put(out, " (", said(root, "code"), ")");
}

enum err fetch_problem(const struct fetch_reply *r, struct why *w)
{
	struct buf text = BUF_INIT(4 * ESCAPE_MAX * SAID_MAX);
	struct json *j = NULL;
	struct why unread = {0};
	buf_printf(&text, "the server answered %u", r->status);
	if (is_problem(r) && json_parse(&j, buf_bytes(&r->body), &unread) == ERR_OK &&
	    json_type(json_root(j)) == JSON_OBJECT)
		put_problem(&text, json_root(j));
	const char *s = buf_cstr(&text);
	const enum err e = why_tell(w, ERR_ENVIRONMENT, NULL, "%s",
				    s != NULL ? s : "the server answered with an error");
	json_free(j);
	buf_free(&text);
	return e;
}
