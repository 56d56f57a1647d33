#include "session_fixture.h"

enum { FACTS_MAX = 256, TURNS = 600 };

/* All that can be seen of the sessions. */
struct picture {
	struct session_facts v[FACTS_MAX];
	size_t n;
	uint64_t count, seen;
};

static void take(struct fixture *f, struct picture *p)
{
	memset(p, 0, sizeof *p);
	p->n = session_list(f->s, p->v, FACTS_MAX);
	p->count = sessions_count(f->s);
	p->seen = sessions_seen_ivs(f->s);
}

static void assert_same(const struct picture *a, const struct picture *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->seen, b->seen);
	assert_memory_equal(a->v, b->v, sizeof a->v);
}

static void a_session_whose_commit_failed_was_never_there(void **state)
{
	struct fixture *f = *state;
	struct session *x = NULL;
	char id[SESSION_ID_SIZE];
	uint8_t iv[AEAD_IV_SIZE] = {1};
	uint32_t number;

	add(f, "", id);
	OK(find(f, id, "", &x));
	session_hold(x);
	receive(f, x, iv);
	fail_commit(f);
	assert_int_equal(find(f, id, "", &x), ERR_SESSION);
	assert_int_equal(sessions_count(f->s), 0);
	assert_int_equal(sessions_seen_ivs(f->s), 0);
	assert_int_equal(session_receive(f->s, x, iv, &number, &f->w), ERR_SESSION);
	session_release(x);
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
}

static void a_session_whose_end_was_not_committed_lives_on(void **state)
{
	struct fixture *f = *state;
	struct session *x, *again = NULL;
	uint8_t iv[AEAD_IV_SIZE] = {0}, late[AEAD_IV_SIZE];
	char id[SESSION_ID_SIZE];
	uint32_t number;

	open_session(f, "");
	x = open_session(f, "s");
	open_session(f, "");
	memcpy(id, x->id, sizeof id);
	OK(session_receive(f->s, x, iv, &number, &f->w));
	commit(f);
	receive(f, x, late);
	OK(session_end(f->s, id_bytes(id), &f->w));
	assert_int_equal(find(f, id, "s", &again), ERR_SESSION);
	fail_commit(f);
	OK(find(f, id, "s", &again));
	assert_ptr_equal(x, again);
	assert_int_equal(sessions_count(f->s), 3);
	assert_int_equal(sessions_seen_ivs(f->s), 1);
	assert_int_equal(session_check(f->s, x, iv, &f->w), ERR_REPLAY);
	OK(session_receive(f->s, x, late, &number, &f->w));
	assert_int_equal(number, 2);
	commit(f);
	restart(f);
	OK(find(f, id, "s", &x));
	assert_int_equal(session_check(f->s, x, late, &f->w), ERR_REPLAY);
}

static void a_message_whose_commit_failed_may_come_again(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t kept[AEAD_IV_SIZE], lost[20][AEAD_IV_SIZE];
	uint32_t number;

	receive(f, x, kept);
	commit(f);
	for (int i = 0; i < 20; i++)
		receive(f, x, lost[i]);
	fail_commit(f);
	assert_int_equal(x->messages, 1);
	assert_int_equal(session_check(f->s, x, kept, &f->w), ERR_REPLAY);
	for (uint32_t i = 0; i < 20; i++) {
		OK(session_receive(f->s, x, lost[i], &number, &f->w));
		assert_int_equal(number, i + 2);
	}
	commit(f);
}

static void a_session_added_and_ended_in_one_turn_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char id[SESSION_ID_SIZE];

	for (int i = 0; i < 2; i++) {
		add(f, "", id);
		OK(session_end(f->s, id_bytes(id), &f->w));
		if (i == 0)
			commit(f);
		else
			fail_commit(f);
		assert_int_equal(sessions_count(f->s), 0);
	}
	/* A table that is closed in the middle of a turn wipes what the turn still held. */
	add(f, "", id);
	OK(session_end(f->s, id_bytes(id), &f->w));
	add(f, "", id);
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
}

static void memory_and_file_never_differ(void **state)
{
	struct fixture *f = *state;
	struct picture *before = malloc(sizeof *before), *after = malloc(sizeof *after);
	uint64_t seed = 42;

	assert_true(before != NULL && after != NULL);
	for (int turn = 0; turn < TURNS; turn++) {
		take(f, before);
		for (int op = 0; op < 6; op++) {
			struct session *x = NULL;
			uint8_t iv[AEAD_IV_SIZE];
			char id[SESSION_ID_SIZE];
			uint32_t number;

			take(f, after);
			seed = seed * 6364136223846793005 + 1442695040888963407;
			if (after->n > 0)
				OK(find(f, after->v[(seed >> 40) % after->n].id, "", &x));
			if (x == NULL || ((seed >> 33) % 8 < 2 && after->n < FACTS_MAX))
				add(f, "", id);
			else if ((seed >> 33) % 8 == 2)
				OK(session_end(f->s, bytes_of(x->id, sizeof x->id), &f->w));
			else if ((seed >> 33) % 8 < 6)
				receive(f, x, iv);
			else
				OK(session_send(f->s, x, &number, iv, &f->w));
		}
		f->boot += 10;
		f->wall += 10;
		if ((seed >> 50) % 3 == 0) {
			fail_commit(f);
			take(f, after);
			/* What is printed of the time left moves with the clock. */
			for (size_t i = 0; i < before->n; i++)
				before->v[i].expires_wall_ms = after->v[i].expires_wall_ms;
			assert_same(before, after);
		} else {
			commit(f);
		}
		if (turn % 50 == 0) {
			take(f, before);
			restart(f);
			take(f, after);
			assert_same(before, after);
		}
	}
	assert_true(after->n > 10);
	free(before);
	free(after);
}

static void expired_sessions_go_in_slices(void **state)
{
	struct fixture *f = *state;
	struct kept_rows rows;
	char id[SESSION_ID_SIZE];

	for (int i = 0; i < 5; i++)
		add(f, "", id);
	f->boot += 1;
	add(f, "", id);
	commit(f);
	assert_false(session_sweep(f->s, 2, 2));
	assert_int_equal(sessions_count(f->s), 6);
	f->boot += HOUR - 1;
	assert_true(session_sweep(f->s, 2, 2));
	assert_int_equal(sessions_count(f->s), 4);
	fail_commit(f);
	assert_int_equal(sessions_count(f->s), 6);
	assert_true(session_sweep(f->s, 2, 2));
	assert_true(session_sweep(f->s, 2, 2));
	(void)session_sweep(f->s, 2, 2);
	assert_int_equal(sessions_count(f->s), 1);
	commit(f);
	keep_rows(f, &rows);
	assert_int_equal(rows.n, 1);
}

static void sweep_all(struct fixture *f, unsigned limit)
{
	while (session_sweep(f->s, limit, limit))
		commit(f);
	commit(f);
}

static void seen_rows_go_when_no_session_can_need_them(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE];

	for (int i = 0; i < 10; i++) {
		receive(f, x, iv);
		commit(f);
	}
	f->boot += HOUR / MARKS_PER_LIFETIME;
	sweep_all(f, 3);
	/* A younger session, whose rows must outlive the first one's. */
	x = open_session(f, "");
	for (int i = 0; i < 7; i++) {
		receive(f, x, iv);
		commit(f);
	}
	f->boot += HOUR / MARKS_PER_LIFETIME;
	sweep_all(f, 3);
	assert_int_equal(seen_rows(f), 17);
	f->boot += HOUR - HOUR / MARKS_PER_LIFETIME - 1;
	sweep_all(f, 3);
	assert_int_equal(seen_rows(f), 17);
	/* One session to end, and rows in slices of their own. */
	f->boot += 1;
	assert_true(session_sweep(f->s, 1, 3));
	commit(f);
	assert_int_equal(seen_rows(f), 14);
	assert_true(session_sweep(f->s, 1, 4));
	commit(f);
	assert_int_equal(seen_rows(f), 10);
	sweep_all(f, 3);
	assert_int_equal(seen_rows(f), 7);
	f->boot += HOUR;
	sweep_all(f, 3);
	assert_int_equal(seen_rows(f), 0);
	assert_int_equal(sessions_count(f->s), 0);
}

static void rows_found_at_the_start_go_with_the_last_session_of_then(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE];

	receive(f, x, iv);
	commit(f);
	f->boot += HOUR - 1;
	restart(f);
	sweep_all(f, 10);
	assert_int_equal(seen_rows(f), 1);
	f->boot += 1;
	sweep_all(f, 10);
	assert_int_equal(sessions_count(f->s), 0);
	assert_int_equal(seen_rows(f), 0);
}

static void marks_stay_bounded_however_long_the_server_runs(void **state)
{
	struct fixture *f = *state;
	struct session *x = NULL;
	uint8_t iv[AEAD_IV_SIZE];

	for (int i = 0; i < 1000; i++) {
		x = open_session(f, "");
		receive(f, x, iv);
		f->boot += HOUR / MARKS_PER_LIFETIME;
		sweep_all(f, 1000);
		assert_true(f->s->marks <= MARKS_PER_LIFETIME + 1);
		assert_true(seen_rows(f) <= MARKS_PER_LIFETIME + 2);
	}
	/* A ring that is full takes no mark; a later one stands for it. */
	f->s->marks = MARKS_MAX;
	for (size_t i = 0; i < MARKS_MAX; i++)
		f->s->mark[i].due_boot_ms = INT64_MAX;
	x = open_session(f, "");
	receive(f, x, iv);
	f->boot += HOUR;
	sweep_all(f, 1000);
	assert_int_equal(f->s->marks, MARKS_MAX);
}

static void an_idle_server_writes_nothing(void **state)
{
	struct fixture *f = *state;

	f->boot += LAST_BOOT_EVERY_MS;
	assert_false(session_sweep(f->s, 10, 10));
	assert_false(store_dirty(f->store));
	/* With a session alive, a sign of life every ten seconds. */
	open_session(f, "");
	for (int i = 0; i < 20; i++) {
		assert_false(session_sweep(f->s, 10, 10));
		assert_int_equal(store_dirty(f->store), i % 10 == 0);
		commit(f);
		f->boot += LAST_BOOT_EVERY_MS / 10;
	}
	/* Sessions under a generated key never see another boot. */
	f->s->kek_generated = true;
	f->boot += LAST_BOOT_EVERY_MS;
	assert_false(session_sweep(f->s, 10, 10));
	assert_false(store_dirty(f->store));
}

static void a_shorter_lifetime_holds_for_old_sessions_too(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	char id[SESSION_ID_SIZE];

	memcpy(id, x->id, sizeof id);
	f->limits.lifetime_ms = 60000;
	restart(f);
	f->boot += 59999;
	OK(find(f, id, "", &x));
	f->boot += 1;
	assert_int_equal(find(f, id, "", &x), ERR_SESSION);
	/* A longer one never gives an old session more than it was opened with. */
	f->boot -= 60000;
	f->limits.lifetime_ms = 2 * HOUR;
	restart(f);
	f->boot += HOUR;
	assert_int_equal(find(f, id, "", &x), ERR_SESSION);
}

static void sessions_are_swept_by_expiry_whatever_their_order_of_creation(void **state)
{
	struct fixture *f = *state;
	char first[SESSION_ID_SIZE], second[SESSION_ID_SIZE];
	struct session *x = NULL;

	f->limits.lifetime_ms = 2 * HOUR;
	restart(f);
	memcpy(first, open_session(f, "")->id, sizeof first);
	f->limits.lifetime_ms = HOUR;
	restart(f);
	memcpy(second, open_session(f, "")->id, sizeof second);
	f->boot += HOUR / 2;
	restart(f);
	f->boot += HOUR / 2;
	assert_int_equal(find(f, second, "", &x), ERR_SESSION);
	OK(find(f, first, "", &x));
	assert_false(session_sweep(f->s, 10, 10));
	commit(f);
	assert_int_equal(sessions_count(f->s), 1);
	OK(find(f, first, "", &x));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_session_whose_commit_failed_was_never_there),
		T(a_session_whose_end_was_not_committed_lives_on),
		T(a_message_whose_commit_failed_may_come_again),
		T(a_session_added_and_ended_in_one_turn_leaves_nothing),
		T(memory_and_file_never_differ),
		T(expired_sessions_go_in_slices),
		T(seen_rows_go_when_no_session_can_need_them),
		T(rows_found_at_the_start_go_with_the_last_session_of_then),
		T(marks_stay_bounded_however_long_the_server_runs),
		T(an_idle_server_writes_nothing),
		T(a_shorter_lifetime_holds_for_old_sessions_too),
		T(sessions_are_swept_by_expiry_whatever_their_order_of_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
