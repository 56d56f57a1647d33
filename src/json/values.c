/* values.c - jansson's values, as json.h shows them. */
#include "values.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static void *alloc(size_t n)
{
	return malloc(n);
}

/* The size is asked of malloc: a header for it would cost as much as the smallest values themselves. */
static void wipe_and_free(void *p)
{
	if (p == NULL)
		return;
	mem_wipe(p, malloc_usable_size(p));
	free(p);
}

void json_init(void)
{
	json_set_alloc_funcs(alloc, wipe_and_free);
	json_object_seed(0);
}

void json_free(struct json *j)
{
	json_decref((json_t *)j);
}

const struct json_value *json_root(const struct json *j)
{
	return (const struct json_value *)j;
}

enum json_type json_type(const struct json_value *v)
{
	switch (json_typeof(json_lib(v))) {
	case JANSSON_OBJECT:
		return JSON_OBJECT;
	case JANSSON_ARRAY:
		return JSON_ARRAY;
	case JANSSON_STRING:
		return JSON_STRING;
	case JSON_INTEGER:
		return JSON_INT;
	case JANSSON_REAL:
		return JSON_REAL;
	case JANSSON_TRUE:
		return JSON_TRUE;
	case JANSSON_FALSE:
		return JSON_FALSE;
	case JANSSON_NULL:
		break;
	}
	return JSON_NULL;
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

/* Hidden, because jansson exports a function of this name and calls it: the program's must not take its place. */
__attribute__((visibility("hidden"))) struct bytes json_string(const struct json_value *v)
{
	return bytes_of(json_string_value(json_lib(v)), json_string_length(json_lib(v)));
}

int64_t json_int(const struct json_value *v)
{
	return json_integer_value(json_lib(v));
}

size_t json_size(const struct json_value *v)
{
	return json_type(v) == JSON_OBJECT ? json_object_size(json_lib(v)) : json_array_size(json_lib(v));
}

const struct json_value *json_get(const struct json_value *object, const char *key)
{
	return json_own(json_object_get(json_lib(object), key));
}

const struct json_value *json_at(const struct json_value *array, size_t i)
{
	return json_own(json_array_get(json_lib(array), i));
}

bool json_next(const struct json_value *object, void **it, struct bytes *key, const struct json_value **v)
{
	json_t *o = json_lib(object);
	*it = *it == NULL ? json_object_iter(o) : json_object_iter_next(o, *it);
	if (*it == NULL)
		return false;
	*key = json_iter_name(*it);
	*v = json_own(json_object_iter_value(*it));
	return true;
}

const char *json_show(struct bytes text, char out[JSON_SHOW_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0, len;
	for (size_t i = 0; i < text.n; i += len) {
		const uint8_t *p = text.p + i;
		const char escaped[4] = {'\\', 'x', hex[*p >> 4], hex[*p & 15]};
		uint32_t cp;
		len = utf8_next(p, text.n - i, &cp);
		const bool plain = len > 0 && cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f);
		if (len == 0)
			len = 1;
		if (n + (plain ? len : sizeof escaped) > JSON_SHOW_MAX) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		memcpy(out + n, plain ? (const char *)p : escaped, plain ? len : sizeof escaped);
		n += plain ? len : sizeof escaped;
	}
	out[n] = '\0';
	return out;
}
