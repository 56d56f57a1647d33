/* parse.c - the grammar: tokens of lex.h become a document, without recursion. */
#include "lex.h"

#include <stdlib.h>
#include <sys/mman.h>

/* From so many bytes on a document has pages of its own, which are not reserved, and none of which stays with malloc.
 */
enum { PAGED = 8 * 1024 * 1024 };

/* An array or object that is not closed yet. Places are distances from the root. */
struct level {
	uint32_t at, name; /* its own, and its last name's */
	uint32_t n : 30;   /* members that have a value */
	uint32_t object : 1, in_order : 1;
};

struct reader {
	struct lex lex;
	struct json_value *root;
	struct level open[JSON_DEPTH_MAX];
	size_t depth;
	uint32_t repeated; /* the name that is known to have been there before, or 0 */
};

static enum err begin_container(struct reader *r, bool object)
{
	struct lex *l = &r->lex;
	if (r->depth == JSON_DEPTH_MAX)
		return lex_fault(l, l->at, "values are nested deeper than %d levels", JSON_DEPTH_MAX);
	r->open[r->depth++] = (struct level){.at = (uint32_t)(l->to - r->root), .object = object, .in_order = true};
	l->to += object ? 2 : 1;
	l->at++;
	return ERR_OK;
}

/* A scalar whole, or a container's beginning. */
static enum err read_value(struct reader *r)
{
	struct lex *l = &r->lex;
	struct level *in = r->depth > 0 ? &r->open[r->depth - 1] : NULL;
	lex_space(l);
	const int c = lex_peek(l);
	enum err e;
	if (c == '"')
		e = lex_string(l);
	else if (c == '-' || lex_is_digit(c))
		e = lex_number(l);
	else if (c == '{' || c == '[')
		e = begin_container(r, c == '{');
	else
		e = lex_word(l);
	if (e == ERR_OK && in != NULL)
		in->n++;
	return e;
}

static enum err read_name(struct reader *r)
{
	struct lex *l = &r->lex;
	struct level *in = &r->open[r->depth - 1];
	lex_space(l);
	if (lex_peek(l) != '"')
		return lex_unexpected(l, "a key in double quotes");
	const size_t at = l->at;
	const struct json_value *name = l->to;
	const enum err e = lex_string(l);
	if (e != ERR_OK)
		return e;
	char show[JSON_SHOW_SIZE];
	if (r->repeated != 0 && name == r->root + r->repeated)
		return lex_fault(l, at, "duplicate key \"%s\"", json_show(tape_string(name), show));
	if (in->n > 0 && order_compare(tape_string(r->root + in->name), tape_string(name), 0) >= 0)
		in->in_order = false;
	in->name = (uint32_t)(name - r->root);
	lex_space(l);
	if (lex_peek(l) != ':')
		return lex_unexpected(l, "a colon");
	l->at++;
	return ERR_OK;
}

/* Behind the members go their names in order, where that is not their own or they are many. */
static enum err end_object(struct reader *r, const struct level *in)
{
	struct json_value *object = r->root + in->at, *names = r->lex.to;
	if (in->n == 0) {
		r->lex.to = object + 1;
		return ERR_OK;
	}
	const bool order = !in->in_order || in->n >= TAPE_WIDE;
	object[1].word = (uint32_t)in->n << 1 | order;
	if (!order)
		return ERR_OK;
	r->lex.to += in->n;
	const struct json_value *at = object + 2;
	for (size_t i = 0; i < in->n; i++) {
		names[i].word = (uint32_t)(at - object);
		at = tape_end(tape_end(at));
	}
	if (in->in_order || !order_names(object, names, in->n))
		return ERR_OK;
	r->repeated = in->at + order_repeated(object, names, in->n);
	return why_set(r->lex.why, ERR_INVALID, "a duplicate key"); /* where, is found out by reading once more */
}

static enum err end_container(struct reader *r)
{
	struct lex *l = &r->lex;
	const struct level *in = &r->open[r->depth - 1];
	struct json_value *v = r->root + in->at;
	const enum err e = in->object ? end_object(r, in) : ERR_OK;
	if (e != ERR_OK)
		return e;
	v->word = (uint32_t)(l->to - v - 1) << TAPE_KIND_BITS | (in->object ? TAPE_OBJECT : TAPE_ARRAY);
	r->depth--;
	l->at++;
	return ERR_OK;
}

/* Goes from behind a value, or from inside a new container, to where the next value begins; *more is false when there
 * is none. */
static enum err read_between(struct reader *r, bool fresh, bool *more)
{
	struct lex *l = &r->lex;
	for (; r->depth > 0; fresh = false) {
		const bool object = r->open[r->depth - 1].object;
		lex_space(l);
		if (lex_peek(l) == (object ? '}' : ']')) {
			const enum err e = end_container(r);
			if (e != ERR_OK)
				return e;
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
	struct lex *l = &r->lex;
	if (l->text.n == 0)
		return lex_fault(l, 0, "the text is empty");
	if (l->text.n >= 3 && bytes_is(bytes_of(l->text.p, 3), "\xef\xbb\xbf"))
		return lex_fault(l, 0, "the text begins with a byte order mark, which must be left out");
	bool more = true;
	while (more) {
		const size_t depth = r->depth;
		enum err e = read_value(r);
		if (e == ERR_OK)
			e = read_between(r, r->depth > depth, &more);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err read_document(struct json *j, struct bytes text, uint32_t *repeated, struct why *w)
{
	struct reader r = {
		.lex = {.text = text, .to = j->root, .number = BUF_INIT(text.n), .why = w},
		.root = j->root,
		.repeated = *repeated,
	};
	const enum err e = read_all(&r);
	*repeated = r.repeated;
	const size_t n = (size_t)(r.lex.to - j->root) + r.lex.unfinished;
	j->n = n > j->n ? n : j->n;
	buf_free(&r.lex.number);
	return e;
}

/* For as many words as the text may take; it mostly takes a third of them, so that none are to be reserved. */
static struct json *take(size_t text_n)
{
	const size_t size = sizeof(struct json) + (text_n + TAPE_SPARE) * sizeof(struct json_value);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct json *j = size < PAGED ? malloc(size) : mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (j == NULL || j == MAP_FAILED)
		return NULL;
	j->size = size;
	j->n = 0;
	return j;
}

enum err json_parse(struct json **out, struct bytes text, struct why *w)
{
	if (text.n > JSON_TEXT_MAX)
		return why_tell(w, ERR_INVALID, "body", "the text is longer than %d bytes", JSON_TEXT_MAX);
	struct json *j = take(text.n);
	if (j == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a JSON text");
	uint32_t repeated = 0;
	enum err e = read_document(j, text, &repeated, w);
	if (repeated != 0)
		e = read_document(j, text, &repeated, w);
	if (e == ERR_OK) {
		*out = j;
		return ERR_OK;
	}
	json_free(j);
	return e;
}

void json_free(struct json *j)
{
	if (j == NULL)
		return;
	const size_t size = j->size;
	mem_wipe(j, sizeof *j + j->n * sizeof j->root[0]);
	if (size < PAGED)
		free(j);
	else
		(void)munmap(j, size);
}
