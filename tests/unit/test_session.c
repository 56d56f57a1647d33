#include "session_fixture.h"

/* The private half was thrown away. */
static const char user_pem[] = "-----BEGIN PUBLIC KEY-----\n"
			       "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAx+PeXAGauI7lWDA5w/kT\n"
			       "5mQQxANrtej+y3wB0EolQe4jMIUkMJ48njIMTCls8sTzJQUieccAITGiUcLIT3kq\n"
			       "AADNH/y5gPSr+rDakfv3zshFjZcvT47UMoa3pKNRM9VRa1CLeUuqtEN5jHOjdwN1\n"
			       "5I+WFYl2Z/gBGFzQFXp/F2tp4qAK82VDcHQkogD5CtPqVzSrhFatpQi+M/JNMa0z\n"
			       "/pcZyjx6CyfScoDQNDq1fQVW87hNUFuhTtlJfdrtTchm0/BcXe/MtevI+9740Wyh\n"
			       "mc/IGfZed9pGE0MaorvFkFNRazI01gWPC+DhZ3wxWVSDjMWaUYeTp9f91OAftvHU\n"
			       "HQIDAQAB\n"
			       "-----END PUBLIC KEY-----\n";

static void an_offer_binds_id_key_and_user(void **state)
{
	struct fixture *f = *state;
	struct session_offer a = {0}, b = {0};
	struct bytes pem = bytes_str(user_pem);
	uint8_t hash[SHA256_SIZE];

	OK(session_offer_make(f->c, &f->random, pem, &a, &f->w));
	OK(session_offer_make(f->c, &f->random, pem, &b, &f->w));
	assert_int_equal(a.wrapped.n, 256);
	assert_int_equal(a.key.n, AEAD_KEY_SIZE);
	assert_false(secret_equal(secret_view(&a.key), secret_view(&b.key)));
	assert_memory_not_equal(a.id, b.id, SESSION_ID_SIZE);
	assert_memory_equal(a.user_key_hash, b.user_key_hash, SHA256_SIZE);
	OK(crypto_sha256(f->c, secret_view(&a.key), hash, &f->w));
	assert_memory_equal(a.key_hash, hash, sizeof hash);
	OK(session_add(f->s, &a, bytes_str(""), false, &f->w));
	/* The same offer a second time would be a second row under one id. */
	assert_int_equal(session_add(f->s, &a, bytes_str(""), false, &f->w), ERR_INTERNAL);
	commit(f);
	session_offer_free(&a);
	session_offer_free(&b);
	assert_int_equal(session_offer_make(f->c, &f->random, bytes_str("no key"), &a, &f->w), ERR_BAD_KEY);
	assert_true(f->w.tell);
	assert_null(a.wrapped.p);
	session_offer_free(&a);
	session_offer_free(NULL);
}

static void a_session_lives_until_the_exact_millisecond(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, ""), *y = NULL;
	char id[SESSION_ID_SIZE];
	uint8_t iv[AEAD_IV_SIZE] = {1};
	uint32_t number;

	memcpy(id, x->id, sizeof id);
	f->boot += HOUR - 1;
	OK(find(f, id, "", &y));
	assert_ptr_equal(x, y);
	f->boot++;
	assert_int_equal(find(f, id, "", &y), ERR_SESSION);
	assert_int_equal(session_send(f->s, x, &number, iv, &f->w), ERR_SESSION);
	assert_int_equal(session_check(f->s, x, iv, &f->w), ERR_SESSION);
	assert_int_equal(session_receive(f->s, x, iv, &number, &f->w), ERR_SESSION);
	assert_int_equal(session_end(f->s, id_bytes(id), &f->w), ERR_SESSION);
	assert_int_equal(sessions_count(f->s), 1);
	assert_false(session_sweep(f->s, 10, 10));
	commit(f);
	assert_int_equal(sessions_count(f->s), 0);
}

static void the_scope_must_be_the_one_it_was_opened_with(void **state)
{
	struct fixture *f = *state;
	char with[SESSION_ID_SIZE], without[SESSION_ID_SIZE], longest[SESSION_SCOPE_MAX + 2];
	struct session_offer o;
	struct session *x = NULL;

	add(f, "chat-1", with);
	add(f, "", without);
	commit(f);
	OK(find(f, with, "chat-1", &x));
	OK(find(f, without, "", &x));
	assert_int_equal(find(f, with, "chat-2", &x), ERR_SESSION);
	assert_int_equal(find(f, with, "chat-", &x), ERR_SESSION);
	assert_int_equal(find(f, with, "", &x), ERR_SESSION);
	assert_int_equal(find(f, without, "chat-1", &x), ERR_SESSION);

	memset(longest, 's', sizeof longest);
	longest[SESSION_SCOPE_MAX + 1] = '\0';
	assert_int_equal(find(f, with, longest, &x), ERR_SESSION);
	offer(f, &o);
	assert_int_equal(session_add(f->s, &o, bytes_str(longest), false, &f->w), ERR_INVALID);
	longest[SESSION_SCOPE_MAX] = '\0';
	OK(session_add(f->s, &o, bytes_str(longest), false, &f->w));
	OK(find(f, o.id, longest, &x));
	session_offer_free(&o);
}

static void unknown_ended_expired_and_mismatched_are_all_alike(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "a"), *found = NULL;
	char id[SESSION_ID_SIZE], unknown[SESSION_ID_SIZE];
	struct why first, w;

	memcpy(id, x->id, sizeof id);
	memset(unknown, 'x', sizeof unknown);
	memset(&first, 0, sizeof first);
	memset(&w, 0, sizeof w);
	assert_int_equal(session_find(f->s, id_bytes(unknown), bytes_str("a"), &found, &first), ERR_SESSION);
	assert_int_equal(session_find(f->s, id_bytes(id), bytes_str("b"), &found, &w), ERR_SESSION);
	assert_string_equal(first.text, w.text);
	assert_int_equal(session_find(f->s, bytes_of(id, SESSION_ID_SIZE - 1), bytes_str("a"), &found, &w),
			 ERR_SESSION);
	assert_string_equal(first.text, w.text);
	assert_int_equal(session_find(f->s, bytes_of(NULL, 0), bytes_str("a"), &found, &w), ERR_SESSION);
	OK(session_end(f->s, id_bytes(id), &w));
	assert_int_equal(session_find(f->s, id_bytes(id), bytes_str("a"), &found, &w), ERR_SESSION);
	assert_string_equal(first.text, w.text);
	assert_int_equal(session_end(f->s, id_bytes(id), &w), ERR_SESSION);
	assert_string_equal(first.text, w.text);
	assert_int_equal(first.tell, w.tell);
	assert_null(found);
}

static void messages_of_both_directions_share_one_counter(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE], sealed[5 + AEAD_TAG_SIZE], plain[5];
	uint32_t number = 0;

	OK(session_send(f->s, x, &number, iv, &f->w));
	assert_int_equal(number, 1);
	assert_memory_equal(iv, "\0\0\0\1", 4);
	OK(session_seal(f->s, x, false, iv, BYTES_LIT("hello"), sealed, &f->w));
	OK(session_unseal(f->s, x, false, iv, bytes_of(sealed, sizeof sealed), plain, &f->w));
	assert_memory_equal(plain, "hello", 5);
	sealed[0] ^= 1;
	assert_int_equal(session_unseal(f->s, x, false, iv, bytes_of(sealed, sizeof sealed), plain, &f->w),
			 ERR_BAD_MESSAGE);

	memset(iv, 7, sizeof iv);
	OK(session_check(f->s, x, iv, &f->w));
	OK(session_check(f->s, x, iv, &f->w));
	OK(session_receive(f->s, x, iv, &number, &f->w));
	assert_int_equal(number, 2);
	OK(session_send(f->s, x, &number, iv, &f->w));
	assert_int_equal(number, 3);
	assert_memory_equal(iv, "\0\0\0\3", 4);
	assert_int_equal(sessions_seen_ivs(f->s), 3);
}

static void no_iv_comes_twice_in_either_direction(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, ""), *y = open_session(f, "");
	uint8_t sent[AEAD_IV_SIZE], got[AEAD_IV_SIZE] = {0};
	uint32_t number = 0;

	OK(session_send(f->s, x, &number, sent, &f->w));
	assert_int_equal(session_check(f->s, x, sent, &f->w), ERR_REPLAY);
	assert_int_equal(session_receive(f->s, x, sent, &number, &f->w), ERR_REPLAY);
	OK(session_receive(f->s, x, got, &number, &f->w));
	assert_int_equal(session_receive(f->s, x, got, &number, &f->w), ERR_REPLAY);
	assert_int_equal(number, 2);
	/* Each session has keys of its own, and so a set of its own. */
	OK(session_receive(f->s, y, got, &number, &f->w));
	assert_int_equal(number, 1);
}

static enum err stuck(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	(void)ctx;
	(void)w;
	memset(out, 9, n);
	return ERR_OK;
}

static void a_random_source_that_repeats_itself_is_found_out(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE] = {0, 0, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9}, out[AEAD_IV_SIZE];
	uint32_t number = 0;

	f->s->env.random = (struct random){NULL, stuck};
	OK(session_receive(f->s, x, iv, &number, &f->w));
	assert_int_equal(session_send(f->s, x, &number, out, &f->w), ERR_INTERNAL);
	assert_int_equal(x->messages, 1);
}

static void a_session_takes_65536_messages_and_forgets_none(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t(*iv)[AEAD_IV_SIZE] = calloc(1 << 16, sizeof *iv);
	uint32_t number = 0;

	assert_non_null(iv);
	for (uint32_t i = 0; i < 1 << 16; i++) {
		memcpy(iv[i], &i, sizeof i);
		if (i % 2 == 0)
			OK(session_send(f->s, x, &number, iv[i], &f->w));
		else
			OK(session_receive(f->s, x, iv[i], &number, &f->w));
		assert_int_equal(number, i + 1);
	}
	commit(f);
	for (uint32_t i = 0; i < 1 << 16; i++)
		assert_int_equal(session_check(f->s, x, iv[i], &f->w), ERR_REPLAY);
	assert_int_equal(sessions_seen_ivs(f->s), 1 << 16);
	free(iv);
}

static void the_table_has_room_up_to_its_limits_and_not_past_them(void **state)
{
	struct fixture *f = *state;
	struct session_offer o;

	f->s->env.limits.max_sessions = 3;
	f->s->env.limits.public_sessions = 2;
	for (int i = 0; i < 2; i++) {
		offer(f, &o);
		OK(session_room(f->s, true, &f->w));
		OK(session_add(f->s, &o, bytes_str(""), true, &f->w));
		session_offer_free(&o);
	}
	assert_int_equal(session_room(f->s, true, &f->w), ERR_SESSIONS_FULL);
	assert_non_null(strstr(f->w.text, "2 sessions for public callers"));
	OK(session_room(f->s, false, &f->w));
	f->boot++;
	offer(f, &o);
	OK(session_add(f->s, &o, bytes_str(""), false, &f->w));
	session_offer_free(&o);
	offer(f, &o);
	assert_int_equal(session_room(f->s, false, &f->w), ERR_SESSIONS_FULL);
	assert_true(f->w.tell);
	assert_int_equal(session_add(f->s, &o, bytes_str(""), false, &f->w), ERR_SESSIONS_FULL);
	/* Those that have expired make room though no sweep has come by yet. */
	f->boot += HOUR - 1;
	OK(session_add(f->s, &o, bytes_str(""), false, &f->w));
	assert_int_equal(sessions_count(f->s), 2);
	session_offer_free(&o);
	commit(f);
}

static void a_session_is_spent_after_its_messages(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE];
	uint32_t number = 0;

	f->s->env.limits.max_messages = 2;
	OK(session_send(f->s, x, &number, iv, &f->w));
	receive(f, x, iv);
	assert_int_equal(session_send(f->s, x, &number, iv, &f->w), ERR_SESSION_SPENT);
	assert_string_equal(why_public(&f->w),
			    "This session has used its 2 messages; open a new one with POST /key-exchange.");
	assert_int_equal(session_receive(f->s, x, iv, &number, &f->w), ERR_REPLAY);
	iv[0] ^= 1;
	assert_int_equal(session_check(f->s, x, iv, &f->w), ERR_SESSION_SPENT);
	assert_int_equal(session_receive(f->s, x, iv, &number, &f->w), ERR_SESSION_SPENT);
	/* No number ever passes the last of the program's own. */
	f->s->env.limits.max_messages = UINT32_MAX;
	x->messages = SESSION_MESSAGES_MAX - 1;
	OK(session_send(f->s, x, &number, iv, &f->w));
	assert_int_equal(number, SESSION_MESSAGES_MAX);
	assert_int_equal(session_send(f->s, x, &number, iv, &f->w), ERR_SESSION_SPENT);
}

static void all_sessions_together_keep_a_bounded_number_of_ivs(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, ""), *y = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE];
	uint32_t number = 0;

	f->s->env.limits.max_seen_ivs = 3;
	receive(f, x, iv);
	receive(f, x, iv);
	receive(f, y, iv);
	assert_int_equal(session_send(f->s, y, &number, iv, &f->w), ERR_IVS_FULL);
	assert_non_null(strstr(why_public(&f->w), "max_seen_ivs"));
	iv[0] ^= 1;
	assert_int_equal(session_check(f->s, y, iv, &f->w), ERR_IVS_FULL);
	OK(session_end(f->s, bytes_of(x->id, sizeof x->id), &f->w));
	assert_int_equal(sessions_seen_ivs(f->s), 1);
	OK(session_send(f->s, y, &number, iv, &f->w));
}

static unsigned cached_keys(const struct sessions *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < KEY_CACHE_SIZE; i++)
		n += s->key_cache[i].key != NULL;
	return n;
}

static void assert_sealed_as_elsewhere(struct fixture *f, struct session *x)
{
	uint8_t iv[AEAD_IV_SIZE] = {1}, here[2 + AEAD_TAG_SIZE], away[2 + AEAD_TAG_SIZE], plain[2];

	OK(session_seal(f->s, x, false, iv, BYTES_LIT("ab"), here, &f->w));
	OK(session_seal(f->s, x, true, iv, BYTES_LIT("ab"), away, &f->w));
	assert_memory_equal(here, away, sizeof here);
	OK(session_unseal(f->s, x, false, iv, bytes_of(away, sizeof away), plain, &f->w));
	assert_memory_equal(plain, "ab", 2);
}

static void a_bounded_number_of_keys_is_kept_expanded(void **state)
{
	struct fixture *f = *state;
	struct session *x[KEY_CACHE_SIZE + 1];

	for (size_t i = 0; i <= KEY_CACHE_SIZE; i++)
		x[i] = open_session(f, "");
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i <= KEY_CACHE_SIZE; i++)
			assert_sealed_as_elsewhere(f, x[i]);
	assert_int_equal(cached_keys(f->s), KEY_CACHE_SIZE);
}

static void a_cached_key_goes_with_its_session(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, ""), *y = open_session(f, "");

	assert_sealed_as_elsewhere(f, x);
	assert_sealed_as_elsewhere(f, y);
	assert_int_equal(cached_keys(f->s), 2);
	session_hold(x);
	OK(session_end(f->s, bytes_of(x->id, sizeof x->id), &f->w));
	assert_int_equal(cached_keys(f->s), 1);
	assert_sealed_as_elsewhere(f, x);
	assert_int_equal(cached_keys(f->s), 1);
	commit(f);
	session_release(x);
}

static void a_worker_keeps_the_key_of_a_session_that_has_ended(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE] = {1}, sealed[2 + AEAD_TAG_SIZE], plain[2];
	uint32_t number = 0;

	session_hold(x);
	OK(session_end(f->s, bytes_of(x->id, sizeof x->id), &f->w));
	commit(f);
	assert_int_equal(sessions_count(f->s), 0);
	OK(session_seal(f->s, x, true, iv, BYTES_LIT("ab"), sealed, &f->w));
	OK(session_unseal(f->s, x, true, iv, bytes_of(sealed, sizeof sealed), plain, &f->w));
	assert_int_equal(session_receive(f->s, x, iv, &number, &f->w), ERR_SESSION);
	assert_int_equal(x->refs, 1);
	session_release(x);

	/* The end of the table wipes the key even of a session that somebody forgot to release. */
	x = open_session(f, "");
	session_hold(x);
	sessions_close(f->s);
	f->s = NULL;
	assert_true(bytes_is_zero(bytes_of(x->key, sizeof x->key)));
	session_release(x);
	session_release(NULL);
}

static void the_list_is_oldest_first_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct session_facts facts[4];
	char id[3][SESSION_ID_SIZE];
	uint8_t iv[AEAD_IV_SIZE];
	struct session *x = NULL;

	for (int i = 0; i < 3; i++, f->boot += 1000, f->wall += 1000)
		add(f, "", id[i]);
	OK(find(f, id[1], "", &x));
	receive(f, x, iv);
	assert_int_equal(session_list(f->s, facts, 4), 3);
	for (int i = 0; i < 3; i++) {
		assert_memory_equal(facts[i].id, id[i], SESSION_ID_SIZE);
		assert_int_equal(facts[i].created_wall_ms, f->wall - 3000 + 1000 * i);
		assert_int_equal(facts[i].expires_wall_ms, facts[i].created_wall_ms + HOUR);
		assert_int_equal(facts[i].messages, i == 1);
	}
	assert_memory_equal(facts[1].user_key_hash, x->user_key_hash, SHA256_SIZE);
	assert_int_equal(session_list(f->s, facts, 2), 2);
	assert_memory_equal(facts[0].id, id[0], SESSION_ID_SIZE);
	f->boot += HOUR - 2500;
	assert_int_equal(session_list(f->s, facts, 4), 2);
	assert_memory_equal(facts[0].id, id[1], SESSION_ID_SIZE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_offer_binds_id_key_and_user),
		T(a_session_lives_until_the_exact_millisecond),
		T(the_scope_must_be_the_one_it_was_opened_with),
		T(unknown_ended_expired_and_mismatched_are_all_alike),
		T(messages_of_both_directions_share_one_counter),
		T(no_iv_comes_twice_in_either_direction),
		T(a_random_source_that_repeats_itself_is_found_out),
		T(a_session_takes_65536_messages_and_forgets_none),
		T(the_table_has_room_up_to_its_limits_and_not_past_them),
		T(a_session_is_spent_after_its_messages),
		T(all_sessions_together_keep_a_bounded_number_of_ivs),
		T(a_bounded_number_of_keys_is_kept_expanded),
		T(a_cached_key_goes_with_its_session),
		T(a_worker_keeps_the_key_of_a_session_that_has_ended),
		T(the_list_is_oldest_first_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
