/* Any bytes: read, walked, checked as a request body, and judged by jansson's own reader as well. A sanitizer sees
 * a word too many. */
#include <stdlib.h>
#include <string.h>

#include "json/tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* jansson's, whose header has names that json.h has, too. */
void *json_loadb(const char *text, size_t n, size_t flags, void *error);
void json_delete(void *value);
enum { REJECT_DUPLICATES = 0x1, DECODE_ANY = 0x4, ALLOW_NUL = 0x10 };

enum { WALKED = 100 }; /* members that are looked for by their name */

static const struct json_value *find(const struct json_value *object, struct bytes name)
{
	struct buf text = BUF_INIT(name.n);

	buf_put_bytes(&text, name);
	const struct json_value *v = json_get(object, buf_cstr(&text));
	buf_free(&text);
	return v;
}

static size_t walk(const struct json_value *v)
{
	size_t sum = strlen(json_type_name(json_type(v))), members = 0;
	const struct json_value *member = NULL;
	struct bytes s;

	switch (json_type(v)) {
	case JSON_STRING:
		s = json_string(v);
		for (size_t i = 0; i < s.n; i++)
			sum += s.p[i];
		return sum;
	case JSON_INT:
		return sum + (size_t)json_int(v);
	case JSON_ARRAY:
		for (; json_next(v, NULL, &member); members++)
			sum += walk(member);
		if (members != json_size(v))
			abort();
		return sum;
	case JSON_OBJECT:
		for (; json_next(v, &s, &member); members++) {
			if (members < WALKED && memchr(s.p, 0, s.n) == NULL && find(v, s) != member)
				abort();
			sum += s.n + walk(member);
		}
		if (members != json_size(v))
			abort();
		return sum;
	default:
		return sum;
	}
}

static void check_fields(const struct json_value *v)
{
	const struct json_value *a, *b, *c;
	const struct json_field fields[] = {
		{"a", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &a},
		{"b", JSON_ANY, true, &b},
		{"c", JSON_BOOL, false, &c},
	};
	struct why w;

	if (json_fields(v, fields, 3, &w) == ERR_OK ? b == NULL : w.err != ERR_INVALID || !w.tell)
		abort();
}

/* What one accepts the other must accept, but for the refusals that only one of them knows: ours of numbers that become
 * 0, of depth and of a NUL behind a number or word, jansson's of a NUL in a name. */
static void compare(const struct json *ours, struct bytes text, const struct why *w)
{
	void *other = json_loadb((const char *)text.p, text.n, REJECT_DUPLICATES | DECODE_ANY | ALLOW_NUL, NULL);

	if (ours != NULL && other == NULL && memmem(text.p, text.n, "\\u0000", 6) == NULL)
		abort();
	if (ours == NULL && other != NULL && strstr(w->text, "too close to zero") == NULL &&
	    strstr(w->text, "levels") == NULL && memchr(text.p, 0, text.n) == NULL)
		abort();
	if (other != NULL)
		json_delete(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct why w = {.text = ""};
	struct json *j = NULL;
	enum err e;

	e = json_parse(&j, bytes_of(data, size), &w);
	if ((e == ERR_OK) != (j != NULL) || (e != ERR_OK && (e != ERR_INVALID || strncmp(w.text, "line ", 5) != 0)))
		abort();
	if (size > 0)
		compare(j, bytes_of(data, size), &w);
	if (j != NULL) {
		if (j->n * sizeof j->root[0] > 3 * size + 1)
			abort();
		volatile size_t seen = walk(json_root(j));

		(void)seen;
		check_fields(json_root(j));
	}
	json_free(j);
	return 0;
}
