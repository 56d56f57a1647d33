/* values.h - jansson's values behind the names of json.h, for the files of this folder.
 *
 * Both use the names below for different things; jansson's get another spelling while its header is read.
 */
#ifndef ATTESTD_JSON_VALUES_H
#define ATTESTD_JSON_VALUES_H

#define json_type   jansson_type
#define json_string jansson_string
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_REAL   JANSSON_REAL
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef json_string
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "json.h"

/* json_value and json are never completed: both are jansson's value by another name. */
static inline json_t *json_lib(const struct json_value *v)
{
	return (json_t *)v;
}

static inline const struct json_value *json_own(const json_t *v)
{
	return (const struct json_value *)v;
}

/* The same for a member's name, which jansson ends with a NUL but which may hold others. */
static inline struct bytes json_iter_name(void *it)
{
	return bytes_of(json_object_iter_key(it), json_object_iter_key_len(it));
}

enum { JSON_SHOW_MAX = 40, JSON_SHOW_SIZE = JSON_SHOW_MAX + 4 };
/* Makes a piece of somebody's text fit for a message: at most JSON_SHOW_MAX printable characters, then "...". */
const char *json_show(struct bytes text, char out[JSON_SHOW_SIZE]);

#endif
