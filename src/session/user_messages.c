/* user_messages.c - the messages of a conversation, as its user seals and opens them. */
#include "user_internal.h"

#include <string.h>

#include "base/encode.h"

enum { MINE = 0x80, NUMBER_SIZE = 4, MEMBERS_ROOM = 1024, SAID_MAX = 199 };

enum err user_seal(struct crypto *c, const struct random *random, const struct user_session *s, struct bytes plaintext,
		   struct buf *message, struct why *w)
{
	uint8_t iv[AEAD_IV_SIZE];

	if (plaintext.n > USER_PLAINTEXT_MAX)
		return why_tell(w, ERR_INVALID, NULL, "The message is longer than %d bytes.", USER_PLAINTEXT_MAX);
	if (!utf8_valid(plaintext))
		return why_tell(
			w, ERR_INVALID, NULL,
			"The message is not UTF-8 text, and the server hands messages on as JSON, which carries nothing "
			"else: encode it first (base64, for example).");
	struct buf sealed = BUF_INIT(plaintext.n + AEAD_TAG_SIZE);
	uint8_t *out = buf_reserve(&sealed, sealed.max);
	enum err e = out == NULL ? buf_check(&sealed, w) : random_fill(random, iv, sizeof iv, w);
	if (e != ERR_OK)
		goto out;
	iv[0] |= MINE;
	e = crypto_seal(c, s->key, iv, bytes_of(NULL, 0), plaintext, out, w);
	if (e != ERR_OK)
		goto out;
	sealed.n = sealed.max;
	/* Taken at once, so that growing does not copy a long message again and again. */
	(void)buf_reserve(message, BASE64_SIZE(sealed.n) + MEMBERS_ROOM);
	buf_put_str(message, "{");
	JSON_PUT_KEY(message, "session_id");
	json_put_string(message, user_session_id(s));
	JSON_PUT_KEY(message, "ciphertext");
	json_put_base64(message, buf_bytes(&sealed));
	JSON_PUT_KEY(message, "iv");
	json_put_base64(message, bytes_of(iv, sizeof iv));
	if (s->scope_n > 0) {
		JSON_PUT_KEY(message, "scope");
		json_put_string(message, user_session_scope(s));
	}
	buf_put_str(message, "}");
	e = buf_check(message, w);
out:
	buf_free(&sealed);
	return e;
}

/* ---- reading a message ---- */

struct received {
	struct bytes id, scope;	 /* in the JSON; .p == NULL: not given */
	struct bytes ciphertext; /* in the JSON */
	uint8_t iv[AEAD_IV_SIZE];
	bool has_number;
	int64_t number;
};

static enum err unreadable(struct why *w, const char *field, const char *text)
{
	return why_tell(w, ERR_BAD_MESSAGE, NULL,
			"This is no message of the server's, a reply of POST /encrypt in JSON%s%s: %.*s",
			field[0] != '\0' ? ", by its " : "", field, SAID_MAX, text);
}

static enum err read_members(const struct json_value *object, struct received *m, struct why *w)
{
	const struct json_value *id, *ciphertext, *iv, *number, *scope;
	const struct json_field fields[] = {
		{"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
		{"iv", JSON_BIT(JSON_STRING), true, &iv},
		{"session_id", JSON_BIT(JSON_STRING), false, &id},
		{"message_number", JSON_BIT(JSON_INT), false, &number},
		{"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope},
	};
	uint8_t raw[BASE64_DECODED_MAX(BASE64_SIZE(AEAD_IV_SIZE))];
	size_t n = 0;
	if (json_type(object) == JSON_OBJECT && json_get(object, "encrypted_session_key") != NULL)
		return why_tell(
			w, ERR_BAD_MESSAGE, NULL,
			"This is no message but a reply to POST /key-exchange: give it to attestd session open.");
	enum err e = json_fields(object, fields, sizeof fields / sizeof fields[0], w);

	if (e != ERR_OK)
		return e;
	if (json_string(iv).n != BASE64_SIZE(AEAD_IV_SIZE) || !base64_decode(json_string(iv), raw, &n) ||
	    n != AEAD_IV_SIZE)
		return why_tell(w, ERR_INVALID, "iv", "Must be %d bytes in padded base64.", AEAD_IV_SIZE);
	memcpy(m->iv, raw, sizeof m->iv);
	m->ciphertext = json_string(ciphertext);
	m->id = id != NULL ? json_string(id) : bytes_of(NULL, 0);
	m->scope = scope != NULL ? json_string(scope) : bytes_of(NULL, 0);
	m->has_number = number != NULL;
	m->number = number != NULL ? json_int(number) : 0;
	return ERR_OK;
}

static enum err read_message(struct bytes text, struct json **json, struct received *m, struct why *w)
{
	struct why inner = {0};

	if (text.n > USER_MESSAGE_MAX)
		return why_tell(w, ERR_BAD_MESSAGE, NULL, "The message is longer than %d bytes.", USER_MESSAGE_MAX);
	enum err e = json_parse(json, text, &inner);
	if (e == ERR_OK)
		e = read_members(json_root(*json), m, &inner);
	if (e == ERR_INVALID) {
		/* Both may quote the message, in letters that turn a terminal's text around. */
		const bool whole = strcmp(inner.field, "body") == 0;
		return unreadable(w, whole ? "" : text_mask(inner.field), text_mask(inner.text));
	}
	if (e != ERR_OK)
		*w = inner;
	return e;
}

/* ---- judging it ---- */

static uint32_t number_of(const struct received *m)
{
	return (uint32_t)get_be(m->iv, NUMBER_SIZE);
}

static enum err judge(const struct user_session *s, const struct received *m, struct why *w)
{
	const uint32_t number = number_of(m);

	if (m->id.p != NULL && !bytes_equal(m->id, user_session_id(s)))
		return why_tell(w, ERR_BAD_MESSAGE, "session_id",
				"The message belongs to another session than this one.");
	if (m->scope.p != NULL && !bytes_equal(m->scope, user_session_scope(s)))
		return why_tell(w, ERR_BAD_MESSAGE, "scope",
				"The message belongs to another conversation than this one (scope).");
	if ((m->iv[0] & MINE) != 0)
		return why_tell(
			w, ERR_BAD_MESSAGE, "iv",
			"This is a message of your own that came back (its IV is a user's, not the server's): somebody "
			"reflects it, or you gave the wrong file.");
	if (number == 0)
		return why_tell(
			w, ERR_BAD_MESSAGE, "iv",
			"This is no message of the server's, for its IV is not one of the server's: message numbers "
			"begin with 1.");
	if (m->has_number && m->number != (int64_t)number)
		return why_tell(
			w, ERR_BAD_MESSAGE, "message_number",
			"The message says that it is number %lld, but its IV says %u: it was renumbered on its way.",
			(long long)m->number, (unsigned)number);
	if (number <= s->received)
		return why_tell(
			w, ERR_REPLAY, "iv",
			"This is message %u, and message %u of the session was opened already: it is a replay, or comes "
			"too late to be taken.",
			(unsigned)number, (unsigned)s->received);
	return ERR_OK;
}

static enum err decode(struct received *m, struct buf *sealed, struct why *w)
{
	*sealed = BUF_INIT(BASE64_DECODED_MAX(m->ciphertext.n) + 1);
	uint8_t *out = buf_reserve(sealed, sealed->max);

	if (out == NULL)
		return buf_check(sealed, w);
	if (!base64_decode(m->ciphertext, out, &sealed->n))
		return unreadable(w, "ciphertext", "Is not padded base64.");
	if (sealed->n < AEAD_TAG_SIZE)
		return unreadable(w, "ciphertext", "Is too short to hold a tag: it was cut off.");
	return ERR_OK;
}

enum err user_unseal(struct crypto *c, struct user_session *s, struct bytes message, struct buf *plaintext,
		     struct why *w)
{
	struct json *json = NULL;
	struct received m = {.number = 0};
	struct buf sealed = BUF_INIT(0), plain = BUF_INIT(0);
	enum err e;

	if ((e = read_message(message, &json, &m, w)) != ERR_OK || (e = judge(s, &m, w)) != ERR_OK ||
	    (e = decode(&m, &sealed, w)) != ERR_OK)
		goto out;
	json_free(json);
	json = NULL;
	plain = BUF_INIT(sealed.n); /* a tag more than is needed, so that none is empty */
	uint8_t *to = buf_reserve(&plain, plain.max);
	e = to == NULL ? buf_check(&plain, w)
		       : crypto_open(c, s->key, m.iv, bytes_of(NULL, 0), buf_bytes(&sealed), to, w);
	if (e == ERR_BAD_MESSAGE)
		e = why_tell(
			w, e, "ciphertext",
			"The message was altered on its way, or belongs to another session: it does not open with this "
			"session's key.");
	if (e != ERR_OK)
		goto out;
	plain.n = sealed.n - AEAD_TAG_SIZE;
	if (!utf8_valid(buf_bytes(&plain))) {
		e = why_tell(w, ERR_BAD_MESSAGE, "ciphertext",
			     "The message is authentic but is not UTF-8 text: the server sends no such messages.");
		goto out;
	}
	buf_free(plaintext);
	*plaintext = plain;
	plain = BUF_INIT(0);
	s->received = number_of(&m);
out:
	json_free(json);
	buf_free(&sealed);
	buf_free(&plain);
	return e;
}
