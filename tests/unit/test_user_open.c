/* A session is opened only when every check holds, and says which did not. */
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

static struct user_session *opened(const struct exchange *x, const struct user_open *o)
{
	struct json *reply = user_exchange(&u, x);
	struct verify_verdict *verdict = NULL;
	struct user_session *s = NULL;
	if (user_open(o, json_root(reply), &s, &verdict, &u.f.w) != ERR_OK)
		fail_msg("%s", u.f.w.text);
	assert_true(verify_verdict_good(verdict));
	verify_verdict_free(verdict);
	json_free(reply);
	return s;
}

/* judged: the verdict is good, and yet it is refused; else it need not be. */
static void refused_as(const struct exchange *x, const struct user_open *o, enum err e, bool judged,
		       const char *sentence)
{
	struct json *reply = user_exchange(&u, x);
	struct verify_verdict *verdict = NULL;
	struct user_session *s = NULL;
	assert_int_equal(user_open(o, json_root(reply), &s, &verdict, &u.f.w), e);
	assert_null(s);
	if (strstr(u.f.w.text, sentence) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", sentence, u.f.w.text);
	assert_true(strlen(u.f.w.text) < WHY_TEXT_MAX - 1);
	assert_true(e == ERR_USAGE || verdict != NULL);
	assert_true(!judged || verify_verdict_good(verdict));
	verify_verdict_free(verdict);
	json_free(reply);
}

static void refused(const struct exchange *x, const char *sentence)
{
	const struct user_open o = user_opening(&u);
	refused_as(x, &o, ERR_INVALID, true, sentence);
}

/* The verifier may see it, too. */
static void refused_by_either(const struct exchange *x, const char *member)
{
	const struct user_open o = user_opening(&u);
	refused_as(x, &o, ERR_INVALID, false, member);
}

static void a_sound_exchange_opens_the_session_that_was_attested(void **state)
{
	(void)state;
	const struct exchange sound = {.scope = BYTES_LIT("chat")};
	struct user_open o = user_opening(&u);
	o.scope = sound.scope;
	struct user_session *s = opened(&sound, &o);
	uint8_t hash[SHA256_SIZE];
	assert_int_equal(crypto_sha256(u.f.crypto, rsa_key_spki(u.ours), hash, &u.f.w), ERR_OK);
	assert_true(bytes_is(user_session_id(s), USER_ID));
	assert_true(bytes_is(user_session_scope(s), "chat"));
	assert_memory_equal(s->key, "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", AEAD_KEY_SIZE);
	assert_memory_equal(user_session_key_hash(s), hash, sizeof hash);
	assert_int_equal(user_session_opened_s(s), o.now_s);
	assert_int_equal(user_session_expires_s(s), o.now_s + 3600);
	assert_int_equal(user_session_received(s), 0);
	assert_true(user_session_pinned(s));
	user_session_free(s);
}

static void a_key_exchange_is_required_even_if_the_policy_names_no_purpose(void **state)
{
	(void)state;
	const struct exchange other = {.claims = "{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-30T12:00:00Z\","
						 "\"agent\":\"A\",\"guardrail\":\"G\"}"};
	const struct user_open o = user_opening(&u);
	refused_as(&other, &o, ERR_INVALID, false, "made for attestation");
}

static void a_policy_for_another_purpose_is_a_contradiction(void **state)
{
	(void)state;
	const struct exchange sound = {.session_id = NULL};
	struct verify_policy policy = u.f.policy;
	struct user_open o = user_opening(&u);
	o.policy = &policy;
	assert_int_equal(verify_policy_purpose(&policy, BYTES_LIT("attestation"), &u.f.w), ERR_OK);
	refused_as(&sound, &o, ERR_USAGE, false, "purpose attestation");
	assert_int_equal(verify_policy_purpose(&policy, BYTES_LIT("key-exchange"), &u.f.w), ERR_OK);
	user_session_free(opened(&sound, &o));
}

static void what_the_policy_refuses_is_refused(void **state)
{
	(void)state;
	const struct exchange sound = {.session_id = NULL};
	struct verify_policy policy = u.f.policy;
	struct user_open o = user_opening(&u);
	o.policy = &policy;
	policy.own_root = false;
	refused_as(&sound, &o, ERR_INVALID, false, "root");
	policy = u.f.policy;
	policy.pins[0].value[0] ^= 1;
	refused_as(&sound, &o, ERR_INVALID, false, "PCR0");
	policy = u.f.policy;
	assert_int_equal(verify_policy_nonce(&policy, BYTES_LIT("text:another nonce of mine"), &u.f.w), ERR_OK);
	refused_as(&sound, &o, ERR_INVALID, false, "another request");
	assert_int_equal(verify_policy_nonce(&policy, BYTES_LIT("text:a nonce of 20 bytes."), &u.f.w), ERR_OK);
	user_session_free(opened(&sound, &o));
}

static void an_old_exchange_is_refused(void **state)
{
	(void)state;
	const struct exchange sound = {.session_id = NULL};
	const struct user_open o = user_opening(&u);
	struct json *reply = user_exchange(&u, &sound);
	for (int late = 0; late < 2; late++) {
		struct verify_verdict *verdict = NULL;
		struct user_session *s = NULL;
		const int64_t waited = (VERIFY_MAX_AGE_S + late) * INT64_C(1000);
		u.f.now_ms += waited;
		assert_int_equal(user_open(&o, json_root(reply), &s, &verdict, &u.f.w), late ? ERR_INVALID : ERR_OK);
		assert_int_equal(verify_verdict_code(verdict), late ? VERIFY_TOO_OLD : VERIFY_VERIFIED);
		u.f.now_ms -= waited;
		verify_verdict_free(verdict);
		user_session_free(s);
	}
	json_free(reply);
}

static void a_policy_that_pins_no_enclave_opens_a_session_that_remembers_it(void **state)
{
	(void)state;
	const struct exchange sound = {.session_id = NULL};
	struct verify_policy policy = u.f.policy;
	struct user_open o = user_opening(&u);
	o.policy = &policy;
	policy.n_pins = 0;
	struct user_session *s = opened(&sound, &o);
	assert_false(user_session_pinned(s));
	user_session_free(s);
}

static void a_relays_key_in_place_of_ours_is_named_an_attack(void **state)
{
	(void)state;
	const struct exchange rewrapped = {.attested_for = u.relays},
			      forwarded = {.attested_for = u.relays, .wrapped_for = u.relays};
	refused(&rewrapped, "relay attack");
	refused(&forwarded, "relay attack");
}

static void a_session_key_that_was_exchanged_is_refused(void **state)
{
	(void)state;
	const struct exchange other = {.wrapped_key = BYTES_LIT("KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK")};
	refused(&other, "session_key_hash");
}

static void a_session_key_of_another_size_is_refused_though_it_was_attested(void **state)
{
	(void)state;
	const struct exchange longer = {.key = BYTES_LIT("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")},
			      shorter = {.key = BYTES_LIT("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")};
	refused(&longer, "session_key_hash");
	refused(&shorter, "session_key_hash");
}

static void a_session_key_that_does_not_open_is_refused(void **state)
{
	(void)state;
	static char too_long[BASE64_SIZE(RSA_WRAPPED_MAX) + 7];
	const struct exchange for_others = {.wrapped_for = u.relays};
	struct exchange x = {.wrapped = ""};
	refused(&for_others, "does not open with your key");
	refused_by_either(&x, "encrypted_session_key");
	x.wrapped = "7";
	refused_by_either(&x, "encrypted_session_key");
	x.wrapped = "\"\"";
	refused_by_either(&x, "encrypted_session_key");
	x.wrapped = "\"AAA\"";
	refused_by_either(&x, "encrypted_session_key");
	memset(too_long, 'A', sizeof too_long);
	too_long[0] = '"';
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX) - 1] = '=';
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX)] = '=';
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX) + 1] = '"';
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX) + 2] = '\0';
	x.wrapped = too_long;
	refused(&x, "does not open with your key");
	memset(too_long + BASE64_SIZE(RSA_WRAPPED_MAX) - 1, 'A', 6);
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX) + 5] = '"';
	too_long[BASE64_SIZE(RSA_WRAPPED_MAX) + 6] = '\0';
	refused_by_either(&x, "encrypted_session_key");
}

static void a_session_id_that_was_not_signed_is_refused(void **state)
{
	(void)state;
	const struct exchange other = {.session_id = "ZbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-0"};
	const struct user_open o = user_opening(&u);
	refused_as(&other, &o, ERR_INVALID, false, "session_id");
}

static void the_lifetime_is_a_hint_within_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *minutes;
		int64_t s;
	} hints[] = {{"1", 60}, {"10080", 604800}};
	static const char *const bad[] = {"", "\"60\"", "60.0", "0", "-1", "10081", "9223372036854775807"};
	const struct user_open o = user_opening(&u);
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		const struct exchange x = {.minutes = hints[i].minutes};
		struct user_session *s = opened(&x, &o);
		assert_int_equal(user_session_expires_s(s), o.now_s + hints[i].s);
		user_session_free(s);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const struct exchange x = {.minutes = bad[i]};
		refused_by_either(&x, "expires_in_minutes");
	}
}

static void a_scope_has_at_most_64_bytes_of_utf8(void **state)
{
	(void)state;
	static const char chars[] = "0123456789012345678901234567890123456789012345678901234567890123+";
	const struct exchange sound = {.scope = bytes_of(chars, SESSION_SCOPE_MAX)};
	struct user_open o = user_opening(&u);
	o.scope = sound.scope;
	struct user_session *s = opened(&sound, &o);
	assert_true(bytes_equal(user_session_scope(s), o.scope));
	user_session_free(s);
	o.scope = bytes_of(chars, SESSION_SCOPE_MAX + 1);
	refused_as(&sound, &o, ERR_USAGE, false, "64 bytes");
	o.scope = BYTES_LIT("\xff");
	refused_as(&sound, &o, ERR_USAGE, false, "UTF-8");
}

static void the_conversation_must_be_the_one_that_was_attested(void **state)
{
	(void)state;
	const struct exchange none = {.session_id = NULL}, scoped = {.scope = BYTES_LIT("chat")},
			      wrapped_again = {.attested_for = u.relays, .scope = BYTES_LIT("relays")};
	static const char *const others[] = {"Chat", "chat ", "cha", "relays"};
	struct user_open o = user_opening(&u);
	refused_as(&scoped, &o, ERR_INVALID, true, "added a scope");
	o.scope = BYTES_LIT("chat");
	refused_as(&none, &o, ERR_INVALID, true, "dropped your scope");
	refused_as(&wrapped_again, &o, ERR_INVALID, true, "relay attack");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		o.scope = bytes_str(others[i]);
		refused_as(&scoped, &o, ERR_INVALID, true, "rewrote it");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_exchange_opens_the_session_that_was_attested),
		cmocka_unit_test(a_key_exchange_is_required_even_if_the_policy_names_no_purpose),
		cmocka_unit_test(a_policy_for_another_purpose_is_a_contradiction),
		cmocka_unit_test(what_the_policy_refuses_is_refused),
		cmocka_unit_test(an_old_exchange_is_refused),
		cmocka_unit_test(a_policy_that_pins_no_enclave_opens_a_session_that_remembers_it),
		cmocka_unit_test(a_relays_key_in_place_of_ours_is_named_an_attack),
		cmocka_unit_test(a_session_key_that_was_exchanged_is_refused),
		cmocka_unit_test(a_session_key_of_another_size_is_refused_though_it_was_attested),
		cmocka_unit_test(a_session_key_that_does_not_open_is_refused),
		cmocka_unit_test(a_session_id_that_was_not_signed_is_refused),
		cmocka_unit_test(the_lifetime_is_a_hint_within_bounds),
		cmocka_unit_test(a_scope_has_at_most_64_bytes_of_utf8),
		cmocka_unit_test(the_conversation_must_be_the_one_that_was_attested),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
