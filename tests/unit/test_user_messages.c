/* A user's messages, the server's, whatever else comes in their place, and the file between one and the next. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "user_fixture.h"

static struct user_fixture u;

static int start(void **state)
{
	(void)state;
	user_fixture_open(&u);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	user_fixture_close(&u);
	return 0;
}

static struct user_session *session(void)
{
	return user_opened(&u, BYTES_LIT("chat"));
}

/* ---- the server's half ---- */

/* A message under the session's key with an IV that begins with `number`. */
static struct buf sealed(const struct user_session *s, uint32_t number, struct bytes plaintext, const char *more)
{
	struct buf b = BUF_INIT(USER_TEXT_MAX);
	uint8_t iv[AEAD_IV_SIZE] =
		{(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number, 1, 2, 3},
		out[1024];
	assert_true(plaintext.n + AEAD_TAG_SIZE <= sizeof out);
	assert_int_equal(crypto_seal(u.f.crypto, s->key, iv, bytes_of(NULL, 0), plaintext, out, &u.f.w), ERR_OK);
	buf_put_str(&b, "{\"ciphertext\":");
	json_put_base64(&b, bytes_of(out, plaintext.n + AEAD_TAG_SIZE));
	buf_put_str(&b, ",\"iv\":");
	json_put_base64(&b, bytes_of(iv, sizeof iv));
	buf_put_str(&b, more);
	buf_put_str(&b, "}");
	return b;
}

static struct buf numbered(const struct user_session *s, uint32_t number, const char *text)
{
	char more[128];
	(void)snprintf(more, sizeof more, ",\"session_id\":\"" USER_ID "\",\"message_number\":%u", (unsigned)number);
	return sealed(s, number, bytes_str(text), more);
}

static void opens(struct user_session *s, struct buf message, struct bytes text)
{
	struct buf plain = BUF_INIT(0);
	if (user_unseal(u.f.crypto, s, buf_bytes(&message), &plain, &u.f.w) != ERR_OK)
		fail_msg("%s", u.f.w.text);
	assert_true(bytes_equal(buf_bytes(&plain), text));
	buf_free(&plain);
	buf_free(&message);
}

static void is_refused(struct user_session *s, struct bytes message, enum err e, const char *sentence)
{
	const uint32_t received = user_session_received(s);
	struct buf plain = BUF_INIT(0);
	assert_int_equal(user_unseal(u.f.crypto, s, message, &plain, &u.f.w), e);
	assert_true(u.f.w.tell);
	if (strstr(u.f.w.text, sentence) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", sentence, u.f.w.text);
	assert_null(plain.p);
	assert_int_equal(user_session_received(s), received);
}

static void refuses(struct user_session *s, struct buf message, enum err e, const char *sentence)
{
	is_refused(s, buf_bytes(&message), e, sentence);
	buf_free(&message);
}

/* ---- sealing ---- */

struct sent {
	struct json *json;
	struct bytes id, ciphertext, scope;
	uint8_t iv[AEAD_IV_SIZE];
};

static struct sent seal(const struct random *random, const struct user_session *s, struct bytes text)
{
	struct buf message = BUF_INIT(USER_TEXT_MAX);
	struct sent m = {.scope = {NULL, 0}};
	const struct json_value *id, *ciphertext, *iv, *scope;
	const struct json_field fields[] = {{"session_id", JSON_BIT(JSON_STRING), true, &id},
					    {"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
					    {"iv", JSON_BIT(JSON_STRING), true, &iv},
					    {"scope", JSON_BIT(JSON_STRING), false, &scope}};
	size_t n = 0;
	uint8_t raw[BASE64_DECODED_MAX(BASE64_SIZE(AEAD_IV_SIZE))];
	if (user_seal(u.f.crypto, random, s, text, &message, &u.f.w) != ERR_OK)
		fail_msg("%s", u.f.w.text);
	assert_int_equal(json_parse(&m.json, buf_bytes(&message), &u.f.w), ERR_OK);
	assert_int_equal(json_fields(json_root(m.json), fields, 4, &u.f.w), ERR_OK);
	assert_true(base64_decode(json_string(iv), raw, &n));
	assert_int_equal(n, AEAD_IV_SIZE);
	memcpy(m.iv, raw, n);
	m.id = json_string(id);
	m.ciphertext = json_string(ciphertext);
	if (scope != NULL)
		m.scope = json_string(scope);
	buf_free(&message);
	return m;
}

static enum err all_zero(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	(void)ctx;
	(void)w;
	memset(out, 0, n);
	return ERR_OK;
}

static enum err all_ones(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	(void)ctx;
	(void)w;
	memset(out, 0xff, n);
	return ERR_OK;
}

static void a_users_iv_is_random_but_for_its_first_bit_which_is_set(void **state)
{
	(void)state;
	static const uint8_t zeros[AEAD_IV_SIZE] = {0x80}, ones[AEAD_IV_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
										 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct random zero = {NULL, all_zero}, one = {NULL, all_ones};
	struct user_session *s = session();
	struct sent m = seal(&zero, s, BYTES_LIT("x"));
	assert_memory_equal(m.iv, zeros, sizeof zeros);
	json_free(m.json);
	m = seal(&one, s, BYTES_LIT("x"));
	assert_memory_equal(m.iv, ones, sizeof ones);
	json_free(m.json);
	user_session_free(s);
}

static void what_is_sealed_is_what_the_server_opens(void **state)
{
	(void)state;
	static const struct bytes texts[] = {BYTES_LIT(""), BYTES_LIT("a"), BYTES_LIT("a\0b\r\n\x7f"),
					     BYTES_LIT("\xf0\x9f\x98\x80 \xc3\xbc")};
	struct user_session *s = session(), *unscoped = user_opened(&u, bytes_of(NULL, 0));
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct sent m = seal(&u.random, i == 0 ? unscoped : s, texts[i]);
		uint8_t raw[128], plain[128];
		size_t n = 0;
		assert_true(bytes_is(m.id, USER_ID));
		assert_true(i == 0 ? m.scope.p == NULL : bytes_is(m.scope, "chat"));
		assert_true(base64_decode(m.ciphertext, raw, &n));
		assert_int_equal(n, texts[i].n + AEAD_TAG_SIZE);
		assert_int_equal(
			crypto_open(u.f.crypto, s->key, m.iv, bytes_of(NULL, 0), bytes_of(raw, n), plain, &u.f.w),
			ERR_OK);
		assert_true(bytes_equal(bytes_of(plain, texts[i].n), texts[i]));
		json_free(m.json);
	}
	user_session_free(unscoped);
	user_session_free(s);
}

static void what_json_cannot_carry_is_not_sealed(void **state)
{
	(void)state;
	static const struct bytes texts[] = {BYTES_LIT("\xff"), BYTES_LIT("a\xed\xa0\x80"),
					     BYTES_LIT("cut \xf0\x9f\x98")};
	struct user_session *s = session();
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buf message = BUF_INIT(USER_TEXT_MAX);
		assert_int_equal(user_seal(u.f.crypto, &u.random, s, texts[i], &message, &u.f.w), ERR_INVALID);
		assert_non_null(strstr(u.f.w.text, "not UTF-8"));
		assert_int_equal(message.n, 0);
		buf_free(&message);
	}
	/* Its bytes are not looked at: there are too many of them. */
	struct buf message = BUF_INIT(USER_TEXT_MAX);
	assert_int_equal(
		user_seal(u.f.crypto, &u.random, s, bytes_of("", (size_t)USER_PLAINTEXT_MAX + 1), &message, &u.f.w),
		ERR_INVALID);
	assert_non_null(strstr(u.f.w.text, "longer than 268435456 bytes"));
	user_session_free(s);
}

/* ---- opening ---- */

static void the_servers_messages_are_opened_once_and_in_their_order(void **state)
{
	(void)state;
	struct user_session *s = session();
	opens(s, numbered(s, 1, "one"), BYTES_LIT("one"));
	refuses(s, numbered(s, 1, "one"), ERR_REPLAY, "message 1 of the session was opened already");
	refuses(s, numbered(s, 1, "another text"), ERR_REPLAY, "replay");
	opens(s, numbered(s, 5, ""), BYTES_LIT("")); /* the numbers between are the user's own */
	refuses(s, numbered(s, 4, "late"), ERR_REPLAY, "too late");
	opens(s, sealed(s, 6, BYTES_LIT("without a number"), ""), BYTES_LIT("without a number"));
	opens(s, sealed(s, 7, BYTES_LIT("scoped"), ",\"scope\":\"chat\""), BYTES_LIT("scoped"));
	opens(s, sealed(s, 8, BYTES_LIT("not scoped"), ",\"scope\":null"), BYTES_LIT("not scoped"));
	opens(s, sealed(s, 9, BYTES_LIT("\0\r\n\xf0\x9f\x98\x80"), ""), BYTES_LIT("\0\r\n\xf0\x9f\x98\x80"));
	assert_int_equal(user_session_received(s), 9);
	opens(s, numbered(s, SESSION_MESSAGES_MAX, "the last"), BYTES_LIT("the last"));
	refuses(s, numbered(s, SESSION_MESSAGES_MAX, "the last"), ERR_REPLAY, "replay");
	user_session_free(s);
}

static void numbers_begin_at_one(void **state)
{
	(void)state;
	struct user_session *s = session();
	refuses(s, numbered(s, 0, "none"), ERR_BAD_MESSAGE, "message numbers begin with 1");
	opens(s, numbered(s, 1, "one"), BYTES_LIT("one"));
	refuses(s, numbered(s, 0, "none"), ERR_BAD_MESSAGE, "message numbers begin with 1");
	user_session_free(s);
}

static void ones_own_message_that_comes_back_is_refused(void **state)
{
	(void)state;
	struct user_session *s = session();
	struct buf message = BUF_INIT(USER_TEXT_MAX);
	assert_int_equal(user_seal(u.f.crypto, &u.random, s, BYTES_LIT("mine"), &message, &u.f.w), ERR_OK);
	refuses(s, message, ERR_BAD_MESSAGE, "message of your own that came back");
	refuses(s, sealed(s, 0x80000000, BYTES_LIT("x"), ""), ERR_BAD_MESSAGE, "message of your own");
	user_session_free(s);
}

static void a_message_whose_iv_does_not_carry_its_number_is_refused(void **state)
{
	(void)state;
	struct user_session *s = session();
	refuses(s, sealed(s, 1, BYTES_LIT("x"), ",\"message_number\":2"), ERR_BAD_MESSAGE, "renumbered");
	refuses(s, sealed(s, 2, BYTES_LIT("x"), ",\"message_number\":-2"), ERR_BAD_MESSAGE, "renumbered");
	refuses(s, sealed(s, 1, BYTES_LIT("x"), ",\"message_number\":4294967297"), ERR_BAD_MESSAGE, "renumbered");
	user_session_free(s);
}

static void other_sessions_and_altered_messages_are_refused(void **state)
{
	(void)state;
	struct user_session *s = session();
	refuses(s, sealed(s, 1, BYTES_LIT("x"), ",\"session_id\":\"ZbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-0\""),
		ERR_BAD_MESSAGE, "another session");
	refuses(s, sealed(s, 1, BYTES_LIT("x"), ",\"session_id\":\"\""), ERR_BAD_MESSAGE, "another session");
	refuses(s, sealed(s, 1, BYTES_LIT("x"), ",\"scope\":\"other\""), ERR_BAD_MESSAGE, "another conversation");
	struct user_session other = *s;
	other.key[0] ^= 1;
	refuses(s, sealed(&other, 1, BYTES_LIT("x"), ""), ERR_BAD_MESSAGE, "altered");
	struct buf b = sealed(s, 1, BYTES_LIT("x"), "");
	b.p[strlen("{\"ciphertext\":\"")] ^= 1;
	refuses(s, b, ERR_BAD_MESSAGE, "altered");
	opens(s, sealed(s, 1, BYTES_LIT("x"), ""), BYTES_LIT("x")); /* none of them used the number up */
	user_session_free(s);
}

static void a_message_that_is_no_text_is_refused(void **state)
{
	(void)state;
	struct user_session *s = session();
	refuses(s, sealed(s, 1, BYTES_LIT("\xff"), ""), ERR_BAD_MESSAGE, "not UTF-8");
	user_session_free(s);
}

#define IV "\"iv\":\"AAAAAQECAwQFBgcI\""

static void what_is_no_message_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *sentence;
	} bad[] = {
		{"", "no message of the server's"},
		{"[]", "Must be an object"},
		{"{" IV "}", "by its ciphertext: Is required"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}", "by its iv: Is required"},
		{"{\"ciphertext\":1," IV "}", "Must be a string"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"," IV ",\"more\":1}", "by its more"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"," IV ",\"a\xc3\xbc\x1b\":1}", "no message"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"," IV "," IV "}", "duplicate key"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"," IV ",\"message_number\":1.0}", "Must be an integer"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"iv\":\"AAAAAQECAwQFBgc=\"}", "12 bytes"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"iv\":\"AAAAAQECAwQFBgcICQ==\"}", "12 bytes"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\",\"iv\":\"AAAAAQECAwQFBgc!\"}", "12 bytes"},
		{"{\"ciphertext\":\"AAAA AAAAAAAAAAAAAAAAAA==\"," IV "}", "not padded base64"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAA\"," IV "}", "cut off"},
		{"{\"ciphertext\":\"\"," IV "}", "cut off"},
		{"{\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAA==\"," IV "}",
		 "altered"}, /* a tag alone is an empty message */
		{"{\"title\":\"Unauthorized\",\"status\":401}", "no message"},
	};
	struct user_session *s = session();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		is_refused(s, bytes_str(bad[i].text), ERR_BAD_MESSAGE, bad[i].sentence);
		for (const char *c = u.f.w.text; *c != '\0'; c++)
			assert_in_range(*c, ' ', '~');
	}
	/* Its bytes are not looked at: there are too many of them. */
	is_refused(s, bytes_of("", (size_t)USER_MESSAGE_MAX + 1), ERR_BAD_MESSAGE, "longer than");
	user_session_free(s);
}

/* ---- keeping ---- */

static void a_session_is_kept_whole(void **state)
{
	(void)state;
	for (int scoped = 0; scoped < 2; scoped++) {
		struct user_session *s = user_opened(&u, scoped ? BYTES_LIT("a\"\\\n\xc3\xbc") : bytes_of(NULL, 0));
		struct user_session *again = NULL;
		struct buf text = BUF_INIT(USER_FILE_MAX);
		opens(s, numbered(s, 7, "seven"), BYTES_LIT("seven"));
		user_session_put(s, &text);
		assert_int_equal(buf_check(&text, &u.f.w), ERR_OK);
		assert_int_equal(user_session_read(buf_bytes(&text), &again, &u.f.w), ERR_OK);
		assert_memory_equal(again, s, sizeof *s);
		refuses(again, numbered(s, 7, "seven"), ERR_REPLAY, "replay");
		user_session_free(again);
		user_session_free(s);
		buf_free(&text);
	}
}

static void what_is_shown_holds_no_key(void **state)
{
	(void)state;
	struct user_session *s = session();
	struct buf shown = BUF_INIT(USER_FILE_MAX);
	user_session_show(s, user_session_expires_s(s) - 1, &shown);
	assert_non_null(strstr(buf_cstr(&shown), "\"expired\":false"));
	buf_reset(&shown);
	user_session_show(s, user_session_expires_s(s), &shown);
	const char *text = buf_cstr(&shown);
	assert_non_null(strstr(text, "\"expired\":true"));
	assert_non_null(strstr(text, "\"expires\":\"2026-01-30T13:00:00Z\""));
	assert_non_null(strstr(text, "\"session_id\":\"" USER_ID "\""));
	assert_null(strstr(text, "key\":"));
	assert_null(strstr(text, "a2tra2tr"));
	buf_free(&shown);
	user_session_free(s);
}

#define HASH "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define KEY  "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""

struct member {
	const char *name, *value;
};
enum { MEMBERS = 9 };
static const struct member sound[MEMBERS] = {
	{"attestd_session", "1"}, {"session_id", "\"" USER_ID "\""},
	{"scope", "\"chat\""},	  {"user_key_hash", HASH},
	{"pinned", "true"},	  {"received", "7"},
	{"opened", "100"},	  {"expires", "200"},
	{"session_key", KEY},
};

/* The sound file with one member changed, or without it (value NULL). */
static struct buf file_with(struct member changed)
{
	struct buf b = BUF_INIT(USER_FILE_MAX + 64);
	bool known = false;
	buf_put_str(&b, "{");
	for (size_t i = 0; i < MEMBERS; i++) {
		const bool is = strcmp(sound[i].name, changed.name) == 0;
		known = known || is;
		if (is && changed.value == NULL)
			continue;
		json_put_key(&b, sound[i].name);
		buf_put_str(&b, is ? changed.value : sound[i].value);
	}
	if (!known && changed.value != NULL) {
		json_put_key(&b, changed.name);
		buf_put_str(&b, changed.value);
	}
	buf_put_str(&b, "}");
	return b;
}

static void is_no_file(struct bytes text)
{
	struct user_session *s = NULL;
	assert_int_equal(user_session_read(text, &s, &u.f.w), ERR_INVALID);
	assert_null(s);
	assert_non_null(strstr(u.f.w.text, "no session file"));
	assert_null(strstr(u.f.w.text, "AAAA"));
}

static void the_sound_file_is_one(void **state)
{
	(void)state;
	static const struct member others[] = {{"", NULL},	  {"scope", "null"},	       {"scope", NULL},
					       {"received", "0"}, {"received", "2147483647"},  {"opened", "0"},
					       {"opened", "200"}, {"expires", "253402300799"}, {"pinned", "false"}};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct buf b = file_with(others[i]);
		struct user_session *s = NULL;
		if (user_session_read(buf_bytes(&b), &s, &u.f.w) != ERR_OK)
			fail_msg("%s: %s", others[i].name, u.f.w.text);
		user_session_free(s);
		buf_free(&b);
	}
}

static void a_damaged_file_is_refused_and_nothing_of_it_is_quoted(void **state)
{
	(void)state;
	static const struct member bad[] = {
		{"attestd_session", NULL},
		{"attestd_session", "2"},
		{"attestd_session", "\"1\""},
		{"session_id", NULL},
		{"session_id", "\"AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-\""},
		{"session_id", "\"AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-00\""},
		{"session_id", "\"/bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-0\""},
		{"scope", "\"\""},
		{"scope", "\"0123456789012345678901234567890123456789012345678901234567890123+\""},
		{"scope", "[]"},
		{"user_key_hash", "\"aa\""},
		{"user_key_hash", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaag\""},
		{"pinned", "1"},
		{"received", "-1"},
		{"received", "2147483648"},
		{"received", "9223372036854775807"},
		{"opened", "-1"},
		{"opened", "201"},
		{"opened", NULL},
		{"expires", "99"},
		{"expires", "253402300800"},
		{"session_key", NULL},
		{"session_key", "\"\""},
		{"session_key", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
		{"session_key", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
		{"session_key", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\""},
		{"session_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},
		{"AAAAAAAA", "1"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf b = file_with(bad[i]);
		is_no_file(buf_bytes(&b));
		buf_free(&b);
	}
	is_no_file(BYTES_LIT(""));
	is_no_file(BYTES_LIT("null"));
	is_no_file(BYTES_LIT("[]"));
	assert_non_null(strstr(u.f.w.text, "its members are others"));
	is_no_file(BYTES_LIT("{} {}"));
}

static void a_file_has_at_most_64_kib(void **state)
{
	(void)state;
	struct buf b = file_with((struct member){"", NULL});
	struct user_session *s = NULL;
	while (b.n < USER_FILE_MAX)
		buf_put_str(&b, " ");
	assert_int_equal(user_session_read(buf_bytes(&b), &s, &u.f.w), ERR_OK);
	user_session_free(s);
	buf_put_str(&b, " ");
	is_no_file(buf_bytes(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_users_iv_is_random_but_for_its_first_bit_which_is_set),
		cmocka_unit_test(what_is_sealed_is_what_the_server_opens),
		cmocka_unit_test(what_json_cannot_carry_is_not_sealed),
		cmocka_unit_test(the_servers_messages_are_opened_once_and_in_their_order),
		cmocka_unit_test(numbers_begin_at_one),
		cmocka_unit_test(ones_own_message_that_comes_back_is_refused),
		cmocka_unit_test(a_message_whose_iv_does_not_carry_its_number_is_refused),
		cmocka_unit_test(other_sessions_and_altered_messages_are_refused),
		cmocka_unit_test(a_message_that_is_no_text_is_refused),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(a_session_is_kept_whole),
		cmocka_unit_test(what_is_shown_holds_no_key),
		cmocka_unit_test(the_sound_file_is_one),
		cmocka_unit_test(a_damaged_file_is_refused_and_nothing_of_it_is_quoted),
		cmocka_unit_test(a_file_has_at_most_64_kib),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
