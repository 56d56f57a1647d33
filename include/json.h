/* json.h - reading JSON strictly, and the canonical form that digests are taken of.
 *
 * Reading refuses what two readers could understand differently: duplicate keys (at every level), lone surrogates,
 * malformed UTF-8, NaN and infinities, numbers that do not survive a round trip (integers beyond 64 bits signed,
 * reals that overflow, non-zero reals that become zero), trailing bytes, a BOM, nesting deeper than JSON_DEPTH_MAX.
 * Errors say where: line, column, and what was wrong, fit to be shown to the sender. Memory that held values is wiped
 * when it is freed. A document is only read once it is parsed, by any number of threads at once.
 *
 * The canonical form of a value is byte for byte Python's json.dumps(value, sort_keys=True): separators ", " and ": ",
 * keys in code-point order, \uXXXX in lower case for everything outside 0x20-0x7e (so DEL too; surrogate pairs above
 * the BMP), the short escapes \" \\ \n \r \t \f \b, `/` bare, shortest round-trip reals as repr() prints them.
 */
#ifndef ATTESTD_JSON_H
#define ATTESTD_JSON_H

#include "base/bytes.h"

enum {
	JSON_DEPTH_MAX = 512,
	JSON_TEXT_MAX = 1 << 30, /* bytes of a text; the maximum of max_body (keys.def) */
};

struct json;	   /* a document, owning its values */
struct json_value; /* borrowed from its document */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Masks of types. */
#define JSON_BIT(type) (1u << (type))
#define JSON_BOOL      (JSON_BIT(JSON_TRUE) | JSON_BIT(JSON_FALSE))
#define JSON_ANY       (JSON_BIT(JSON_OBJECT + 1) - 1)

/* ERR_INVALID with a told why (field: "body") on bad text, and on one of more than JSON_TEXT_MAX bytes; ERR_MEMORY. The
 * document holds copies, so the text may go at once. It takes at most 3 bytes of memory for each of the text's, and
 * some 1.2 for a text as it is usual; 4 are asked of the system. */
enum err json_parse(struct json **out, struct bytes text, struct why *w) MUST_USE;
void json_free(struct json *j); /* NULL is fine */
const struct json_value *json_root(const struct json *j);

/* What is not of the type that a function wants holds nothing: no bytes, 0, no members. */
enum json_type json_type(const struct json_value *v);
const char *json_type_name(enum json_type t);	      /* "a string", for messages */
struct bytes json_string(const struct json_value *v); /* UTF-8; may hold NUL */
int64_t json_int(const struct json_value *v);
/* Members or elements; these are counted one by one. */
size_t json_size(const struct json_value *v);
const struct json_value *json_get(const struct json_value *object, const char *key); /* NULL if absent */
/* Members of an object or elements of an array in the text's order: from *v, which is NULL at first, to the next; false
 * at the end. The key may be NULL, and is left as it is where there is none. */
bool json_next(const struct json_value *in, struct bytes *key, const struct json_value **v);

/* ---- request bodies: an object with known members and nothing else ---- */
struct json_field {
	const char *name;
	unsigned types; /* mask of JSON_BIT(); JSON_NULL in it means null counts as absent */
	bool required;
	const struct json_value **out; /* set to the value, or NULL when absent or null */
};
/* Checks that `v` is an object of just these members, each of an allowed type. ERR_INVALID (told) names the member. */
enum err json_fields(const struct json_value *v, const struct json_field *f, size_t n, struct why *w) MUST_USE;

/* ---- canonical form, produced piece by piece so that a large value never exists twice ---- */
struct json_canon;
/* quoted: the text is escaped once more, as the inside of a JSON string (without the outer quotes). v is borrowed. */
enum err json_canon_new(struct json_canon **out, const struct json_value *v, bool quoted, struct why *w) MUST_USE;
/* Up to cap bytes; *n = 0 only at the end. ERR_MEMORY. */
enum err json_canon_read(struct json_canon *c, uint8_t *out, size_t cap, size_t *n, struct why *w) MUST_USE;
void json_canon_free(struct json_canon *c);

/* All of it at once. */
enum err json_canon_all(const struct json_value *v, struct buf *out, struct why *w) MUST_USE;

/* ---- writing replies ---- */
enum { JSON_ESCAPE_MAX = 6 };				/* bytes that one of a text becomes: \u0000 */
void json_put_string(struct buf *b, struct bytes utf8); /* quoted and escaped; malformed UTF-8 becomes U+FFFD */
void json_put_cstr(struct buf *b, const char *s);	/* NULL: null */
/* Quoted; in.p == NULL: null. */
void json_put_hex(struct buf *b, struct bytes in);
void json_put_base64(struct buf *b, struct bytes in);
void json_put_int(struct buf *b, int64_t v);
void json_put_bool(struct buf *b, bool v);
/* `"key":` with a comma before it unless it comes right behind `{`. The key is a literal of letters, digits and _ (the
 * linter looks at each), so that nothing in it needs escaping; any other is written by json_put_key. */
#define JSON_PUT_KEY(b, key) json_put_quoted_key((b), BYTES_LIT("\"" key "\":"))
void json_put_quoted_key(struct buf *b, struct bytes key);
void json_put_key(struct buf *b, const char *name);

#endif
