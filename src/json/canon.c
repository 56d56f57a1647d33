/* canon.c - the canonical form, written piece by piece into chunks of any size. */
#include "tape.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "scan.h"

/* The longest of what one step writes: a comma, a space and a number; `\\ud83d\\ude00`, for a character outside the BMP
 * in quoted form, is shorter. */
enum { PIECE_MAX = 2 + NUMBER_TEXT_MAX, CHUNK = 4096 };

struct frame {
	const struct json_value *v;    /* an array or object */
	const struct json_value *next; /* element, member's name, or place in the order; all of them up to `end` */
	const struct json_value *end;
	bool ordered, begun;
};

struct json_canon {
	bool quoted, in_string, in_name;
	struct bytes string;		/* what is left of the string being written */
	const struct json_value *value; /* to be begun next, NULL if the frame on top says what is next */

	uint8_t pending[PIECE_MAX]; /* what did not fit into the last chunk */
	size_t pending_at, pending_n;
	uint8_t *out; /* the chunk */
	size_t n, cap;

	struct frame frames[JSON_DEPTH_MAX];
	size_t depth;
};

/* ---- output: a piece goes into the chunk, and what does not fit waits for the next one ---- */

/* Where at most PIECE_MAX bytes may be written. Nothing is pending. */
static char *begin_piece(struct json_canon *c)
{
	return (char *)(c->cap - c->n >= PIECE_MAX ? c->out + c->n : c->pending);
}

static void end_piece(struct json_canon *c, const char *end)
{
	if (c->cap - c->n >= PIECE_MAX) {
		c->n = (size_t)((const uint8_t *)end - c->out);
		return;
	}
	const size_t n = (size_t)((const uint8_t *)end - c->pending), room = c->cap - c->n, now = n < room ? n : room;
	memcpy(c->out + c->n, c->pending, now);
	c->n += now;
	if (now < n) {
		c->pending_at = now;
		c->pending_n = n;
	}
}

static void drain(struct json_canon *c)
{
	size_t n = c->pending_n - c->pending_at;
	if (n > c->cap)
		n = c->cap;
	memcpy(c->out, c->pending + c->pending_at, n);
	c->n = n;
	c->pending_at += n;
	if (c->pending_at == c->pending_n)
		c->pending_at = c->pending_n = 0;
}

static bool full(const struct json_canon *c)
{
	return c->n == c->cap || c->pending_n > 0;
}

/* These write into a piece and return where it goes on. Quotes and backslashes are escaped once more in quoted mode. */
static char *put_marked(const struct json_canon *c, char *to, char mark)
{
	if (c->quoted)
		*to++ = '\\';
	*to++ = mark;
	return to;
}

static char *put_unicode(const struct json_canon *c, char *to, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	to = put_marked(c, to, '\\');
	*to++ = 'u';
	for (int i = 0; i < 4; i++)
		*to++ = hex[unit >> (12 - 4 * i) & 15];
	return to;
}

/* The character at the start of c->string, which is not plain. */
static void write_escape(struct json_canon *c)
{
	static const char from[] = "\b\f\n\r\t", to[] = "bfnrt";
	char *at = begin_piece(c);
	uint32_t cp = 0;
	size_t n = utf8_next(c->string.p, c->string.n, &cp);
	const char *found = cp == 0 || cp > 0x7f ? NULL : strchr(from, (int)cp);
	if (cp == '"' || cp == '\\') {
		at = put_marked(c, at, '\\');
		at = put_marked(c, at, (char)cp);
	} else if (found != NULL) {
		at = put_marked(c, at, '\\');
		*at++ = to[found - from];
	} else if (cp < 0x10000) {
		at = put_unicode(c, at, cp);
	} else {
		at = put_unicode(c, at, 0xd800 + ((cp - 0x10000) >> 10));
		at = put_unicode(c, at, 0xdc00 + (cp & 0x3ff));
	}
	end_piece(c, at);
	if (n == 0) /* a document's strings are well-formed; even others must not be an endless loop */
		n = 1;
	c->string = bytes_of(c->string.p + n, c->string.n - n);
}

/* ---- strings, as far as the chunk reaches ---- */

static char *begin_string(struct json_canon *c, char *at, struct bytes s, bool name)
{
	c->string = s;
	c->in_string = true;
	c->in_name = name;
	return put_marked(c, at, '"');
}

static void go_on_string(struct json_canon *c)
{
	while (!full(c)) {
		const size_t room = c->cap - c->n;
		const size_t n = scan_run(c->string.p, c->string.n < room ? c->string.n : room);
		memcpy(c->out + c->n, c->string.p, n);
		c->n += n;
		c->string = (struct bytes){c->string.p + n, c->string.n - n};
		if (c->n == c->cap)
			return;
		if (c->string.n == 0) {
			char *at = put_marked(c, begin_piece(c), '"');
			if (c->in_name) {
				*at++ = ':';
				*at++ = ' ';
			}
			end_piece(c, at);
			c->in_string = false;
			return;
		}
		write_escape(c);
	}
}

/* ---- structure ---- */

static size_t put_atom(const struct json_value *v, char *out)
{
	static const struct bytes words[] = {[ATOM_NULL] = {(const uint8_t *)"null", 4},
					     [ATOM_FALSE] = {(const uint8_t *)"false", 5},
					     [ATOM_TRUE] = {(const uint8_t *)"true", 4}};
	struct decimal d;
	switch (tape_atom(v)) {
	case ATOM_INT:
	case ATOM_LONG:
		return number_int(tape_int(v), out);
	case ATOM_REAL:
	case ATOM_LONG_REAL:
		d = tape_real(v);
		return number_real(&d, out);
	case ATOM_NULL:
	case ATOM_FALSE:
	case ATOM_TRUE:
		break;
	}
	memcpy(out, words[tape_atom(v)].p, words[tape_atom(v)].n);
	return words[tape_atom(v)].n;
}

static char *begin_container(struct json_canon *c, char *at, const struct json_value *v)
{
	const bool object = tape_kind(v) == TAPE_OBJECT;
	const struct json_value *order = object ? tape_order(v) : NULL;
	c->frames[c->depth++] = (struct frame){
		.v = v,
		.next = order != NULL ? order : tape_first(v),
		.end = tape_end(v),
		.ordered = order != NULL,
	};
	*at++ = object ? '{' : '[';
	return at;
}

/* What comes next in the array or object on top. */
static const struct json_value *go_on(struct json_canon *c, char **at)
{
	struct frame *f = &c->frames[c->depth - 1];
	const bool object = tape_kind(f->v) == TAPE_OBJECT;
	if (f->next == f->end) {
		c->depth--;
		*(*at)++ = object ? '}' : ']';
		return NULL;
	}
	if (f->begun) {
		*(*at)++ = ',';
		*(*at)++ = ' ';
	}
	f->begun = true;
	const struct json_value *v = f->ordered ? f->v + f->next->word : f->next;
	if (!object) {
		f->next = tape_end(v);
		return v;
	}
	c->value = tape_end(v);
	f->next = f->ordered ? f->next + 1 : tape_end(c->value);
	*at = begin_string(c, *at, tape_string(v), true);
	return NULL;
}

static enum err step(struct json_canon *c, struct why *w)
{
	char *at = begin_piece(c);
	const struct json_value *v = c->value;
	c->value = NULL;
	if (v == NULL)
		v = go_on(c, &at);
	if (v != NULL) {
		if (tape_kind(v) == TAPE_ATOM)
			at += put_atom(v, at);
		else if (tape_kind(v) == TAPE_STRING)
			at = begin_string(c, at, tape_string(v), false);
		else if (c->depth < JSON_DEPTH_MAX)
			at = begin_container(c, at, v);
		else
			return why_set(w, ERR_INTERNAL, "a value nested deeper than %d levels", JSON_DEPTH_MAX);
	}
	end_piece(c, at);
	return ERR_OK;
}

enum err json_canon_new(struct json_canon **out, const struct json_value *v, bool quoted, struct why *w)
{
	struct json_canon *c = calloc(1, sizeof *c);
	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the canonical form");
	c->quoted = quoted;
	c->value = v;
	*out = c;
	return ERR_OK;
}

enum err json_canon_read(struct json_canon *c, uint8_t *out, size_t cap, size_t *n, struct why *w)
{
	c->out = out;
	c->cap = cap;
	c->n = 0;
	drain(c);
	while (!full(c)) {
		if (c->in_string) {
			go_on_string(c);
			continue;
		}
		if (c->value == NULL && c->depth == 0)
			break;
		const enum err e = step(c, w);
		if (e != ERR_OK)
			return e;
	}
	*n = c->n;
	return ERR_OK;
}

void json_canon_free(struct json_canon *c)
{
	if (c == NULL)
		return;
	mem_wipe(c, sizeof *c);
	free(c);
}

enum err json_canon_all(const struct json_value *v, struct buf *out, struct why *w)
{
	struct json_canon *c = NULL;
	const size_t before = out->n;
	uint8_t chunk[CHUNK];
	size_t n = 1;
	enum err e = json_canon_new(&c, v, false, w);
	while (e == ERR_OK && n > 0) {
		e = json_canon_read(c, chunk, sizeof chunk, &n, w);
		if (e == ERR_OK) {
			buf_put(out, chunk, n);
			e = buf_check(out, w);
		}
	}
	if (e != ERR_OK)
		out->n = before;
	mem_wipe(chunk, sizeof chunk);
	json_canon_free(c);
	return e;
}
