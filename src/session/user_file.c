/* user_file.c - a user's session as a text to keep, and what may be shown of it. */
#include "user_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

enum { FORMAT = 1 };

#define TIME_MAX_S INT64_C(253402300799) /* the end of the year 9999, as far as clock_text goes */

/* ---- writing ---- */

/* What may be shown of it. */
static void put_facts(const struct user_session *s, struct buf *json)
{
	JSON_PUT_KEY(json, "session_id");
	json_put_string(json, user_session_id(s));
	JSON_PUT_KEY(json, "scope");
	if (s->scope_n > 0)
		json_put_string(json, user_session_scope(s));
	else
		json_put_cstr(json, NULL);
	JSON_PUT_KEY(json, "user_key_hash");
	json_put_hex(json, bytes_of(s->user_key_hash, sizeof s->user_key_hash));
	JSON_PUT_KEY(json, "pinned");
	json_put_bool(json, s->pinned);
	JSON_PUT_KEY(json, "received");
	json_put_int(json, s->received);
}

void user_session_put(const struct user_session *s, struct buf *json)
{
	buf_put_str(json, "{");
	JSON_PUT_KEY(json, "attestd_session");
	json_put_int(json, FORMAT);
	put_facts(s, json);
	JSON_PUT_KEY(json, "opened");
	json_put_int(json, s->opened_s);
	JSON_PUT_KEY(json, "expires");
	json_put_int(json, s->expires_s);
	JSON_PUT_KEY(json, "session_key");
	json_put_base64(json, bytes_of(s->key, sizeof s->key));
	buf_put_str(json, "}\n");
}

static void put_time(struct buf *json, const char *name, int64_t s)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(s * 1000, text);
	json_put_key(json, name);
	json_put_cstr(json, text);
}

void user_session_show(const struct user_session *s, int64_t now_s, struct buf *json)
{
	buf_put_str(json, "{");
	put_facts(s, json);
	put_time(json, "opened", s->opened_s);
	put_time(json, "expires", s->expires_s);
	JSON_PUT_KEY(json, "expired");
	json_put_bool(json, now_s >= s->expires_s);
	buf_put_str(json, "}");
}

/* ---- reading ---- */

static enum err damaged(struct why *w, const char *what)
{
	return why_tell(w, ERR_INVALID, NULL,
			"This is no session file of attestd session open, or it was damaged: %s. Open a new session.",
			what);
}

static bool is_between(const struct json_value *v, int64_t least, int64_t most)
{
	return json_int(v) >= least && json_int(v) <= most;
}

static bool read_key(const struct json_value *v, uint8_t out[AEAD_KEY_SIZE])
{
	uint8_t raw[BASE64_DECODED_MAX(BASE64_SIZE(AEAD_KEY_SIZE))];
	size_t n = 0;
	const bool good = json_string(v).n == BASE64_SIZE(AEAD_KEY_SIZE) && base64_decode(json_string(v), raw, &n) &&
			  n == AEAD_KEY_SIZE;

	if (good)
		memcpy(out, raw, AEAD_KEY_SIZE);
	mem_wipe(raw, sizeof raw);
	return good;
}

static enum err fill(struct user_session *s, const struct json_value *object, struct why *w)
{
	const struct json_value *format, *id, *key, *scope, *hash, *pinned, *opened, *expires, *received;
	const struct json_field fields[] = {
		{"attestd_session", JSON_BIT(JSON_INT), true, &format},
		{"session_id", JSON_BIT(JSON_STRING), true, &id},
		{"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope},
		{"user_key_hash", JSON_BIT(JSON_STRING), true, &hash},
		{"pinned", JSON_BOOL, true, &pinned},
		{"received", JSON_BIT(JSON_INT), true, &received},
		{"opened", JSON_BIT(JSON_INT), true, &opened},
		{"expires", JSON_BIT(JSON_INT), true, &expires},
		{"session_key", JSON_BIT(JSON_STRING), true, &key},
	};
	struct why inner = {0};
	size_t n = 0;

	if (json_fields(object, fields, sizeof fields / sizeof fields[0], &inner) != ERR_OK)
		return damaged(w, "its members are others");
	if (json_int(format) != FORMAT)
		return damaged(w, "its format is another");
	if (!user_id_fits(json_string(id)))
		return damaged(w, "session_id is none");
	memcpy(s->id, json_string(id).p, sizeof s->id);
	if (!read_key(key, s->key))
		return damaged(w, "session_key is none");
	if (scope != NULL) {
		if (json_string(scope).n == 0 || json_string(scope).n > SESSION_SCOPE_MAX)
			return damaged(w, "scope is none");
		s->scope_n = json_string(scope).n;
		memcpy(s->scope, json_string(scope).p, s->scope_n);
	}
	if (json_string(hash).n != HEX_SIZE(SHA256_SIZE) || !hex_decode(json_string(hash), s->user_key_hash, &n))
		return damaged(w, "user_key_hash is none");
	if (!is_between(opened, 0, TIME_MAX_S) || !is_between(expires, json_int(opened), TIME_MAX_S))
		return damaged(w, "opened or expires is no time");
	if (!is_between(received, 0, SESSION_MESSAGES_MAX))
		return damaged(w, "received is no number of a message");
	s->pinned = json_type(pinned) == JSON_TRUE;
	s->opened_s = json_int(opened);
	s->expires_s = json_int(expires);
	s->received = (uint32_t)json_int(received);
	return ERR_OK;
}

enum err user_session_read(struct bytes json, struct user_session **out, struct why *w)
{
	struct why inner = {0};
	struct json *j = NULL;

	if (json.n > USER_FILE_MAX)
		return damaged(w, "it is too long");
	enum err e = json_parse(&j, json, &inner);
	if (e == ERR_INVALID)
		return damaged(w, "it is not JSON"); /* the reader's own words may quote the key */
	if (e != ERR_OK) {
		*w = inner;
		return e;
	}
	struct user_session *s = calloc(1, sizeof *s);
	e = s == NULL ? why_set(w, ERR_MEMORY, "no memory for the session") : fill(s, json_root(j), w);
	json_free(j);
	if (e == ERR_OK)
		*out = s;
	else
		user_session_free(s);
	return e;
}

/* ---- facts ---- */

void user_session_free(struct user_session *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, sizeof *s);
	free(s);
}

bool user_id_fits(struct bytes id)
{
	if (id.n != SESSION_ID_SIZE)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		const uint8_t c = id.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
	}
	return true;
}

struct bytes user_session_id(const struct user_session *s)
{
	return bytes_of(s->id, sizeof s->id);
}

struct bytes user_session_scope(const struct user_session *s)
{
	return bytes_of(s->scope, s->scope_n);
}

int64_t user_session_opened_s(const struct user_session *s)
{
	return s->opened_s;
}

int64_t user_session_expires_s(const struct user_session *s)
{
	return s->expires_s;
}

uint32_t user_session_received(const struct user_session *s)
{
	return s->received;
}

bool user_session_pinned(const struct user_session *s)
{
	return s->pinned;
}

const uint8_t *user_session_key_hash(const struct user_session *s)
{
	return s->user_key_hash;
}
