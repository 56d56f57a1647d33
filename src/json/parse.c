/* parse.c - the grammar: tokens of lex.h become a tree of values, without recursion. */
#include "lex.h"

struct reader {
	struct lex lex;
	json_t *root;
	json_t *open[JSON_DEPTH_MAX]; /* borrowed: each is inside the one before it */
	size_t depth, values_left;
	struct bytes name; /* of the member whose value comes next */
	size_t name_at;
};

static bool in_object(const struct reader *r)
{
	return json_typeof(r->open[r->depth - 1]) == JANSSON_OBJECT;
}

/* A scalar whole, or a container still empty. */
static enum err read_value(struct reader *r, json_t **out)
{
	struct lex *l = &r->lex;
	lex_space(l);
	const int c = lex_peek(l);
	if (c == '-' || (c >= '0' && c <= '9'))
		return lex_number(l, out);
	json_t *v;
	if (c == '"') {
		struct bytes s;
		const enum err e = lex_string(l, &l->string, &s);
		if (e != ERR_OK)
			return e;
		v = json_stringn_nocheck((const char *)s.p, s.n);
	} else if (c == '{' || c == '[') {
		if (r->depth == JSON_DEPTH_MAX)
			return lex_fault(l, l->at, "values are nested deeper than %d levels", JSON_DEPTH_MAX);
		l->at++;
		v = c == '{' ? json_object() : json_array();
	} else {
		return lex_word(l, out);
	}
	if (v == NULL)
		return why_set(l->why, ERR_MEMORY, "no memory for a JSON value");
	*out = v;
	return ERR_OK;
}

/* Takes v over in every case. */
static enum err attach(struct reader *r, json_t *v)
{
	json_t *to = r->depth > 0 ? r->open[r->depth - 1] : NULL;
	int failed = 0;
	if (to == NULL) {
		r->root = v;
	} else if (!in_object(r)) {
		failed = json_array_append_new(to, v);
	} else {
		const size_t before = json_object_size(to);
		failed = json_object_setn_new_nocheck(to, (const char *)r->name.p, r->name.n, v);
		char show[JSON_SHOW_SIZE];
		if (failed == 0 && json_object_size(to) == before)
			return lex_fault(&r->lex, r->name_at, "duplicate key \"%s\"", json_show(r->name, show));
	}
	return failed == 0 ? ERR_OK : why_set(r->lex.why, ERR_MEMORY, "no memory for a JSON value");
}

static enum err read_name(struct reader *r)
{
	struct lex *l = &r->lex;
	lex_space(l);
	if (lex_peek(l) != '"')
		return lex_unexpected(l, "a key in double quotes");
	r->name_at = l->at;
	const enum err e = lex_string(l, &l->key, &r->name);
	if (e != ERR_OK)
		return e;
	lex_space(l);
	if (lex_peek(l) != ':')
		return lex_unexpected(l, "a colon");
	l->at++;
	return ERR_OK;
}

/* Goes from behind a value, or from inside a new container, to where the next value begins; *more is false when there
 * is none. */
static enum err read_between(struct reader *r, bool fresh, bool *more)
{
	struct lex *l = &r->lex;
	for (; r->depth > 0; r->depth--, fresh = false) {
		const bool object = in_object(r);
		lex_space(l);
		if (lex_peek(l) == (object ? '}' : ']')) {
			l->at++;
			continue;
		}
		if (!fresh) {
			if (lex_peek(l) != ',')
				return lex_unexpected(l, object ? "a comma or }" : "a comma or ]");
			l->at++;
		}
		*more = true;
		return object ? read_name(r) : ERR_OK;
	}
	*more = false;
	lex_space(l);
	return lex_peek(l) == -1 ? ERR_OK : lex_unexpected(l, "the end of the text");
}

static enum err read_all(struct reader *r)
{
	if (r->lex.text.n == 0)
		return lex_fault(&r->lex, 0, "the text is empty");
	if (r->lex.text.n >= 3 && bytes_is(bytes_of(r->lex.text.p, 3), "\xef\xbb\xbf"))
		return lex_fault(&r->lex, 0, "the text begins with a byte order mark, which must be left out");
	bool more = true;
	while (more) {
		json_t *v = NULL;
		if (r->values_left-- == 0)
			return lex_fault(&r->lex, r->lex.at, "there are too many values to be read here");
		enum err e = read_value(r, &v);
		if (e != ERR_OK)
			return e;
		const bool container = json_typeof(v) == JANSSON_OBJECT || json_typeof(v) == JANSSON_ARRAY;
		e = attach(r, v);
		if (e != ERR_OK)
			return e;
		if (container)
			r->open[r->depth++] = v;
		e = read_between(r, container, &more);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err json_parse(struct json **out, struct bytes text, struct why *w)
{
	return json_parse_bounded(out, text, SIZE_MAX, w);
}

enum err json_parse_bounded(struct json **out, struct bytes text, size_t values, struct why *w)
{
	struct reader r; /* not zeroed: `open` is large, and what of it counts is below depth */
	r.lex = (struct lex){.text = text, .key = BUF_INIT(text.n), .string = BUF_INIT(text.n), .why = w};
	r.root = NULL;
	r.depth = 0;
	r.values_left = values;
	const enum err e = read_all(&r);
	if (e == ERR_OK) {
		*out = (struct json *)r.root;
		r.root = NULL;
	}
	json_decref(r.root);
	buf_free(&r.lex.key);
	buf_free(&r.lex.string);
	return e;
}
