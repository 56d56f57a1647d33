/* canon.c - the canonical form, written piece by piece into chunks of any size. */
#include "values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "number.h"
#include "scan.h"

/* The longest of what one step writes: a number, or `\\ud83d\\ude00` for a character outside the BMP in quoted form. */
enum { PIECE_MAX = NUMBER_TEXT_MAX, MEMBERS_FIRST = 64, CHUNK = 4096 };

struct member {
	struct bytes name;
	const json_t *v;
};

/* A wide object's members in order. */
struct wide {
	const json_t *object;
	struct member *members;
};

struct json_order {
	struct wide *wide; /* in the order in which they are met */
	size_t n, cap;
};

struct frame {
	const json_t *v;
	size_t next, n;
	size_t members;		   /* where an object's begin in canon.members */
	const struct member *wide; /* or where they are, if its order is shared */
};

struct json_canon {
	bool quoted, in_string, in_name;
	struct bytes string; /* what is left of the string being written */
	const json_t *value; /* to be begun next, NULL if the frame on top says what is next */

	uint8_t pending[PIECE_MAX]; /* what did not fit into the last chunk */
	size_t pending_at, pending_n;
	uint8_t *out; /* the chunk */
	size_t n, cap;

	struct frame frames[JSON_DEPTH_MAX];
	size_t depth;
	struct member *members; /* of all open objects, a stack */
	size_t members_n, members_cap;
	struct json_order *order; /* shared, or NULL */
	size_t wide_met;
};

/* ---- output: a piece goes into the chunk, and what does not fit waits for the next one ---- */

static void emit(struct json_canon *c, const void *p, size_t n)
{
	const size_t room = c->cap - c->n, now = n < room ? n : room;
	memcpy(c->out + c->n, p, now);
	c->n += now;
	memcpy(c->pending + c->pending_n, (const uint8_t *)p + now, n - now);
	c->pending_n += n - now;
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

/* A piece with quotes or backslashes, which are escaped once more in quoted mode. */
static void emit_marked(struct json_canon *c, const char *p, size_t n)
{
	if (!c->quoted) {
		emit(c, p, n);
		return;
	}
	char twice[PIECE_MAX];
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"' || p[i] == '\\')
			twice[used++] = '\\';
		twice[used++] = p[i];
	}
	emit(c, twice, used);
}

static void unicode_escape(char out[6], uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	out[0] = '\\';
	out[1] = 'u';
	for (int i = 0; i < 4; i++)
		out[2 + i] = hex[unit >> (12 - 4 * i) & 15];
}

/* The character at the start of c->string, which is not plain. */
static void emit_escape(struct json_canon *c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	char text[12];
	uint32_t cp = 0;
	size_t n = utf8_next(c->string.p, c->string.n, &cp), len = 6;
	const char *found = cp == 0 || cp > 0x7f ? NULL : strchr(from, (int)cp);
	if (found != NULL) {
		text[0] = '\\';
		text[1] = to[found - from];
		len = 2;
	} else if (cp < 0x10000) {
		unicode_escape(text, cp);
	} else {
		unicode_escape(text, 0xd800 + ((cp - 0x10000) >> 10));
		unicode_escape(text + 6, 0xdc00 + (cp & 0x3ff));
		len = 12;
	}
	emit_marked(c, text, len);
	n = n == 0 ? 1 : n; /* jansson's strings are well-formed; the 1 keeps even others from being an endless loop */
	c->string = bytes_of(c->string.p + n, c->string.n - n);
}

/* ---- strings, as far as the chunk reaches ---- */

static void begin_string(struct json_canon *c, struct bytes s, bool name)
{
	emit_marked(c, "\"", 1);
	c->string = s;
	c->in_string = true;
	c->in_name = name;
}

static void go_on_string(struct json_canon *c)
{
	while (!full(c)) {
		const size_t room = c->cap - c->n;
		const size_t n = scan_run(c->string.p, c->string.n < room ? c->string.n : room);
		memcpy(c->out + c->n, c->string.p, n);
		c->n += n;
		c->string = bytes_of(c->string.p + n, c->string.n - n);
		if (c->n == c->cap)
			return;
		if (c->string.n == 0) {
			emit_marked(c, "\": ", c->in_name ? 3 : 1);
			c->in_string = false;
			return;
		}
		emit_escape(c);
	}
}

/* ---- structure ---- */

static int by_name(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	const size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	/* The order of UTF-8's bytes is the order of the code points. */
	const int r = memcmp(a->name.p, b->name.p, n);
	return r != 0 ? r : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

static bool members_room(struct json_canon *c, size_t more)
{
	size_t cap = c->members_cap == 0 ? MEMBERS_FIRST : c->members_cap;
	while (cap - c->members_n < more)
		cap *= 2;
	if (cap == c->members_cap)
		return true;
	struct member *m = reallocarray(c->members, cap, sizeof *m);
	if (m == NULL)
		return false;
	c->members = m;
	c->members_cap = cap;
	return true;
}

/* All of the object's into `m`, in order. */
static void gather(json_t *object, struct member *m)
{
	size_t n = 0;
	bool sorted = true;
	for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it)) {
		m[n].name = json_iter_name(it);
		m[n].v = json_object_iter_value(it);
		if (n > 0 && by_name(&m[n - 1], &m[n]) > 0)
			sorted = false;
		n++;
	}
	if (!sorted)
		qsort(m, n, sizeof *m, by_name);
}

static enum err no_memory(const json_t *object, struct why *w)
{
	return why_set(w, ERR_MEMORY, "no memory to sort %zu members", json_object_size(object));
}

/* The next wide object of a value whose order is shared: known from the first form, or found now for the later ones. */
static enum err sort_wide(struct json_canon *c, struct frame *f, json_t *object, struct why *w)
{
	struct json_order *o = c->order;
	if (c->wide_met == o->n) {
		if (o->n == o->cap) {
			const size_t cap = o->cap == 0 ? 16 : o->cap * 2;
			struct wide *wide = reallocarray(o->wide, cap, sizeof *wide);
			if (wide == NULL)
				return no_memory(object, w);
			o->wide = wide;
			o->cap = cap;
		}
		struct member *m = reallocarray(NULL, json_object_size(object), sizeof *m);
		if (m == NULL)
			return no_memory(object, w);
		gather(object, m);
		o->wide[o->n++] = (struct wide){object, m};
	}
	const struct wide *known = &o->wide[c->wide_met++];
	if (known->object != object)
		return why_set(w, ERR_INTERNAL, "the shared order is another value's");
	f->wide = known->members;
	return ERR_OK;
}

static enum err sort_members(struct json_canon *c, struct frame *f, json_t *object, struct why *w)
{
	const size_t n = json_object_size(object);
	if (c->order != NULL && n >= JSON_ORDER_MIN)
		return sort_wide(c, f, object, w);
	if (!members_room(c, n))
		return no_memory(object, w);
	gather(object, c->members + c->members_n);
	c->members_n += n;
	return ERR_OK;
}

static enum err begin_container(struct json_canon *c, const json_t *v, struct why *w)
{
	const bool object = json_typeof(v) == JANSSON_OBJECT;
	if (c->depth == JSON_DEPTH_MAX)
		return why_set(w, ERR_INTERNAL, "a value nested deeper than %d levels", JSON_DEPTH_MAX);
	struct frame *f = &c->frames[c->depth];
	*f = (struct frame){.v = v, .members = c->members_n};
	f->n = object ? json_object_size(v) : json_array_size(v);
	if (object) {
		const enum err e = sort_members(c, f, (json_t *)v, w);
		if (e != ERR_OK)
			return e;
	}
	c->depth++;
	emit(c, object ? "{" : "[", 1);
	return ERR_OK;
}

static size_t put_real(double v, char *out)
{
	struct decimal d = {.negative = signbit(v) != 0};
	if (v != 0)
		number_shortest(fabs(v), &d);
	return number_real(&d, out);
}

static enum err begin_value(struct json_canon *c, const json_t *v, struct why *w)
{
	char text[NUMBER_TEXT_MAX];
	switch (json_typeof(v)) {
	case JANSSON_OBJECT:
	case JANSSON_ARRAY:
		return begin_container(c, v, w);
	case JANSSON_STRING:
		begin_string(c, bytes_of(json_string_value(v), json_string_length(v)), false);
		break;
	case JSON_INTEGER:
		emit(c, text, number_int(json_integer_value(v), text));
		break;
	case JANSSON_REAL:
		emit(c, text, put_real(json_real_value(v), text));
		break;
	case JANSSON_TRUE:
		emit(c, "true", 4);
		break;
	case JANSSON_FALSE:
		emit(c, "false", 5);
		break;
	case JANSSON_NULL:
		emit(c, "null", 4);
		break;
	}
	return ERR_OK;
}

static enum err step(struct json_canon *c, struct why *w)
{
	const json_t *v = c->value;
	if (v != NULL) {
		c->value = NULL;
		return begin_value(c, v, w);
	}
	struct frame *f = &c->frames[c->depth - 1];
	if (f->next == f->n) {
		c->members_n = f->members;
		c->depth--;
		emit(c, json_typeof(f->v) == JANSSON_OBJECT ? "}" : "]", 1);
		return ERR_OK;
	}
	if (f->next > 0)
		emit(c, ", ", 2);
	if (json_typeof(f->v) == JANSSON_OBJECT) {
		const struct member *m = f->wide != NULL ? &f->wide[f->next] : &c->members[f->members + f->next];
		begin_string(c, m->name, true);
		c->value = m->v;
	} else {
		c->value = json_array_get(f->v, f->next);
	}
	f->next++;
	return ERR_OK;
}

enum err json_canon_new(struct json_canon **out, const struct json_value *v, bool quoted, struct why *w)
{
	struct json_canon *c = calloc(1, sizeof *c);
	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the canonical form");
	c->quoted = quoted;
	c->value = json_lib(v);
	*out = c;
	return ERR_OK;
}

enum err json_order_new(struct json_order **out, struct why *w)
{
	struct json_order *o = calloc(1, sizeof *o);
	if (o == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the order of members");
	*out = o;
	return ERR_OK;
}

void json_order_free(struct json_order *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->n; i++)
		free(o->wide[i].members);
	free(o->wide);
	free(o);
}

void json_canon_share(struct json_canon *c, struct json_order *order)
{
	c->order = order;
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
	free(c->members);
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
