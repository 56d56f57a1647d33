/* Any bytes: read, walked, checked as a request body, and judged by jansson's own reader as well. A sanitizer sees
 * a word too many. */
#include <stdlib.h>
#include <string.h>

#include "json/tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* jansson's, whose header has names that json.h has, too. */
void *json_loadb(const char *text, size_t n, size_t flags, void *error);
void json_delete(void *value);
char *json_dumps(void *value, size_t flags);
enum { REJECT_DUPLICATES = 0x1, DECODE_ANY = 0x4, ALLOW_NUL = 0x10 };
enum { SORT_KEYS = 0x80, ENCODE_ANY = 0x200, REAL_PRECISION_17 = 17 << 11 };

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

/* jansson's refusal of a NUL in a name. */
static bool has_nul_in_name(const struct json_value *v)
{
	const struct json_value *member;
	struct bytes name;

	if (json_type(v) != JSON_ARRAY && json_type(v) != JSON_OBJECT)
		return false;
	for (member = NULL; json_next(v, &name, &member);)
		if ((json_type(v) == JSON_OBJECT && memchr(name.p, 0, name.n) != NULL) || has_nul_in_name(member))
			return true;
	return false;
}

/* Our refusals of numbers that become 0, of depth, and of a NUL behind a number or word. */
static bool is_ours_alone(const struct why *w, struct bytes text)
{
	const char *what = strstr(w->text, ": ");

	return strncmp(what, ": the number is too close to zero", 33) == 0 ||
	       strncmp(what, ": values are nested deeper", 26) == 0 || memchr(text.p, 0, text.n) != NULL;
}

static void *judge(struct bytes text)
{
	return json_loadb((const char *)text.p, text.n, REJECT_DUPLICATES | DECODE_ANY | ALLOW_NUL, NULL);
}

static char *dump(void *value)
{
	char *text = json_dumps(value, SORT_KEYS | ENCODE_ANY | REAL_PRECISION_17);

	if (text == NULL)
		abort();
	json_delete(value);
	return text;
}

/* To jansson, what we have read and write out means what the text meant. */
static void same_values(const struct json *ours, void *other, size_t size)
{
	struct buf text = BUF_INIT(64 * size + 64);
	struct json_canon *canon = NULL;
	struct why w = {0};
	size_t n = 0;

	if (json_canon_new(&canon, json_root(ours), false, &w) != ERR_OK)
		abort();
	uint8_t *to = buf_reserve(&text, text.max);
	if (to == NULL || json_canon_read(canon, to, text.max, &n, &w) != ERR_OK)
		abort();
	char *a = dump(other), *b = dump(judge(bytes_of(to, n)));
	if (strcmp(a, b) != 0)
		abort();
	free(a);
	free(b);
	json_canon_free(canon);
	buf_free(&text);
}

/* What one accepts the other must accept, but for the refusals that only one of them knows. */
static void compare(const struct json *ours, struct bytes text, const struct why *w)
{
	void *other = judge(text);

	if (ours != NULL && other == NULL && !has_nul_in_name(json_root(ours)))
		abort();
	if (ours == NULL && other != NULL && !is_ours_alone(w, text))
		abort();
	if (ours != NULL && other != NULL)
		same_values(ours, other, text.n);
	else if (other != NULL)
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
