/* values.c - a document's values, as json.h shows them. */
#include "tape.h"

const struct json_value *json_root(const struct json *j)
{
	return j->root;
}

enum json_type json_type(const struct json_value *v)
{
	static const uint8_t atoms[8] = {
		[ATOM_NULL] = JSON_NULL, [ATOM_FALSE] = JSON_FALSE, [ATOM_TRUE] = JSON_TRUE,	  [ATOM_INT] = JSON_INT,
		[ATOM_LONG] = JSON_INT,	 [ATOM_REAL] = JSON_REAL,   [ATOM_LONG_REAL] = JSON_REAL,
	};
	switch (tape_kind(v)) {
	case TAPE_ATOM:
		return atoms[tape_atom(v)];
	case TAPE_STRING:
		return JSON_STRING;
	case TAPE_ARRAY:
		return JSON_ARRAY;
	case TAPE_OBJECT:
		break;
	}
	return JSON_OBJECT;
}

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",	   [JSON_FALSE] = "false",	  [JSON_TRUE] = "true",
		[JSON_INT] = "an integer", [JSON_REAL] = "a real number", [JSON_STRING] = "a string",
		[JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};
	return names[t];
}

struct bytes json_string(const struct json_value *v)
{
	return tape_kind(v) == TAPE_STRING ? tape_string(v) : bytes_of(NULL, 0);
}

int64_t json_int(const struct json_value *v)
{
	return json_type(v) == JSON_INT ? tape_int(v) : 0;
}

size_t json_size(const struct json_value *v)
{
	size_t n = 0;
	if (tape_kind(v) == TAPE_OBJECT)
		return tape_members(v);
	if (tape_kind(v) == TAPE_ARRAY)
		for (const struct json_value *at = tape_first(v); at < tape_last(v); at = tape_end(at))
			n++;
	return n;
}

/* Where the order of an object's names is known, a stranger's million members are not looked through one by one. */
static const struct json_value *find(const struct json_value *object, const struct json_value *order, struct bytes name)
{
	size_t from = 0, to = tape_members(object);
	while (from < to) {
		const size_t middle = from + (to - from) / 2;
		const struct json_value *at = object + order[middle].word;
		const int r = order_compare(tape_string(at), name, 0);
		if (r == 0)
			return tape_end(at);
		if (r < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
	const struct bytes name = bytes_str(key);
	if (object == NULL || tape_kind(object) != TAPE_OBJECT)
		return NULL;
	const struct json_value *order = tape_order(object), *const last = tape_last(object), *v;
	if (order != NULL)
		return find(object, order, name);
	for (const struct json_value *at = tape_first(object); at < last; at = tape_end(v)) {
		v = tape_end(at);
		if (bytes_equal(tape_string(at), name))
			return v;
	}
	return NULL;
}

bool json_next(const struct json_value *in, struct bytes *key, const struct json_value **v)
{
	const bool object = tape_kind(in) == TAPE_OBJECT;
	if (!object && tape_kind(in) != TAPE_ARRAY)
		return false;
	const struct json_value *at = *v != NULL ? tape_end(*v) : tape_first(in);
	if (at == tape_last(in))
		return false;
	if (object && key != NULL)
		*key = tape_string(at);
	*v = object ? tape_end(at) : at;
	return true;
}
