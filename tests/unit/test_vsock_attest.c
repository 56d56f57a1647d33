/* The vsock command `attest`: what it gives, what it takes, and that all of it comes back on every way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vsock_fixture.h"

#define ATTEST	   "{\"command\":\"attest\"}\n"
#define ATTEST_KEY "{\"command\":\"attest\",\"generate_key\":true}\n"
#define FAILED	   "Failed to process request: "

/* The value of a member that is a text without escapes. */
static struct bytes member(const char *reply, const char *name)
{
	char key[64];
	(void)snprintf(key, sizeof key, "\"%s\":\"", name);
	const char *at = strstr(reply, key);
	assert_non_null(at);
	at += strlen(key);
	return bytes_of(at, strcspn(at, "\""));
}

/* ---- what it gives ---- */

static void a_document_attests_the_very_bytes(void **state)
{
	struct world t;
	static uint8_t document[VSOCK_REPLY_MAX];
	size_t n = 0;
	char size[64];
	(void)state;
	world_open(&t, &(struct world_options){0});
	const char *reply = ask(&t, "{\"command\":\"attest\",\"user_data\":\"\\u00e9/\",\"nonce\":\"hex:00\"}\n");
	assert_has(reply,
		   ",\"user_data\":\"\xc3\xa9/\",\"nonce\":\"hex:00\",\"has_public_key\":false,\"document_size\":");
	assert_has(reply, ",\"timestamp\":1769774400123,\"tee_verified\":false,\"_warning\":\"");
	assert_null(strstr(reply, "key_id"));
	assert_true(base64_decode(member(reply, "attestation_document"), document, &n));
	(void)snprintf(size, sizeof size, "\"document_size\":%zu,", n);
	assert_has(reply, size);
	assert_non_null(memmem(document, n, "iuser_dataC\xc3\xa9/", 13));
	assert_non_null(memmem(document, n, "enonceFhex:00", 13));
	assert_true(at_rest(&t));
	assert_int_equal(t.budget.calls[BUDGET_VSOCK], 1);
	world_close(&t);
}

static void what_is_null_is_attested_as_null(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	assert_has(ask(&t, ATTEST), ",\"user_data\":\"hello-from-enclave\",\"nonce\":null,");
	assert_has(ask(&t, "{\"command\":\"attest\",\"user_data\":\"\",\"nonce\":\"\"}\n"),
		   ",\"user_data\":null,\"nonce\":null,");
	world_close(&t);
}

static void a_generated_key_is_attested_and_kept(void **state)
{
	struct world t;
	struct keys_key *key = NULL;
	struct why w = {0};
	(void)state;
	world_open(&t, &(struct world_options){0});
	const char *reply = ask(&t, ATTEST_KEY);
	assert_has(reply, "\"has_public_key\":true,");
	assert_has(reply, "\"key_expires_in_seconds\":300}\n");
	assert_int_equal(keys_find(t.keys, member(reply, "key_id"), &key, &w), ERR_OK);
	assert_int_equal(keys_count(t.keys), 1);
	assert_true(at_rest(&t));
	assert_rooms(&t);
	world_close(&t);
}

/* ---- what is refused ---- */

static void a_wrong_request_takes_nothing_of_the_budget(void **state)
{
	struct world t;
	struct buf b = BUF_INIT(VSOCK_REQUEST_MAX);
	(void)state;
	world_open(&t, &(struct world_options){0});
	assert_has(ask(&t, "{\"command\":\"attest\",\"user_data\":\"a{\",\"generate_key\":true}\n"),
		   "\"error\":\"" FAILED "user_data: ");
	for (size_t n = NSM_NONCE_MAX; n <= NSM_NONCE_MAX + 1; n++) {
		buf_reset(&b);
		buf_put_str(&b, "{\"command\":\"attest\",\"nonce\":\"");
		for (size_t i = 0; i < n; i++)
			buf_put_u8(&b, 'n');
		buf_put_str(&b, "\"}\n");
		const char *reply = ask(&t, buf_cstr(&b));
		if (n == NSM_NONCE_MAX)
			assert_has(reply, "{\"success\":true,");
		else
			assert_failed(reply, FAILED "nonce: The nonce is 513 bytes long; at most 512 are possible.",
				      "validation_failed");
	}
	assert_int_equal(t.budget.calls[BUDGET_VSOCK], 1);
	assert_true(at_rest(&t));
	buf_free(&b);
	world_close(&t);
}

static void the_dummy_has_no_document(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){.dummy = true});
	assert_failed(ask(&t, ATTEST_KEY),
		      FAILED "This server has no NSM that signs (nsm = dummy): there is no document to give.",
		      "nsm_unavailable");
	assert_has(ask(&t, "{\"command\":\"status\"}\n"), "\"nsm\":\"dummy\",\"debug_mode\":null}");
	assert_true(at_rest(&t));
	world_close(&t);
}

static void the_rate_of_attestations_is_limited(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){.nsm_burst = 1});
	assert_has(ask(&t, ATTEST), "\"success\":true");
	assert_failed(ask(&t, ATTEST), FAILED "More than 1 attestations a second were asked for; try again in 1 s.",
		      "rate_limited");
	assert_string_equal(ask(&t, PING), PONG);
	assert_int_equal(t.budget.refused[BUDGET_VSOCK], 1);
	world_close(&t);
}

static void at_most_half_of_the_queue_is_filled(void **state)
{
	struct world t;
	int fd[2];
	(void)state;
	world_open(&t, &(struct world_options){.nsm_queue = 4});
	t.held = true;
	for (int i = 0; i < 2; i++) {
		fd[i] = join(&t);
		say(&t, fd[i], BYTES_LIT(ATTEST));
	}
	assert_failed(ask(&t, ATTEST), FAILED "Too many attestations are waiting on this listener; try again shortly.",
		      "busy");
	t.held = false;
	for (int i = 0; i < 2; i++)
		assert_has(hear(&t, fd[i]), "\"success\":true");
	assert_has(ask(&t, ATTEST), "\"success\":true");
	assert_true(at_rest(&t));
	world_close(&t);
}

static void do_nothing(struct loop_job *j)
{
	(void)j;
}

static void a_full_queue_is_told_and_gives_all_back(void **state)
{
	struct world t;
	struct why w = {0};
	struct loop_job local = {.run = do_nothing, .done = do_nothing};
	(void)state;
	world_open(&t, &(struct world_options){.nsm_queue = 1});
	const int fd = join(&t);
	t.held = true;
	say(&t, fd, BYTES_LIT(ATTEST));
	UNTIL(&t, t.calls == 1);
	assert_int_equal(loop_submit(t.loop, LANE_NSM, &local, &w), ERR_OK);
	t.budget.outside_waiting = 0;
	assert_failed(ask(&t, ATTEST), FAILED "Too much work is waiting already; try again shortly.", "busy");
	assert_int_equal(t.budget.outside_waiting, 0);
	t.budget.outside_waiting = 1;
	t.held = false;
	assert_has(hear(&t, fd), "\"success\":true");
	UNTIL(&t, at_rest(&t));
	world_close(&t);
}

static void where_no_more_keys_are_kept_none_is_made(void **state)
{
	struct world t;
	struct why w = {0};
	(void)state;
	world_open(&t, &(struct world_options){.max_keys = 1, .nsm_burst = 1});
	assert_int_equal(keys_reserve(t.keys, &w), ERR_OK);
	const char *reply = ask(&t, ATTEST_KEY);
	assert_has(reply, "\"error\":\"" FAILED);
	assert_has(reply, "\"code\":\"too_many_keys\"}");
	assert_true(at_rest(&t));
	assert_int_equal(t.budget.calls[BUDGET_VSOCK] + t.budget.refused[BUDGET_VSOCK], 0);
	assert_has(ask(&t, ATTEST), "\"success\":true"); /* the one token there is has not been taken */
	assert_has(ask(&t, ATTEST), "\"code\":\"rate_limited\"");
	keys_cancel(t.keys, NULL);
	assert_has(ask(&t, ATTEST_KEY), "\"code\":\"rate_limited\"");
	t.mono_ms += 1000;
	assert_has(ask(&t, ATTEST_KEY), "\"success\":true"); /* nor has the room been kept */
	world_close(&t);
}

/* ---- what goes wrong ---- */

static void a_broken_nsm_is_told_of_without_its_inside(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	t.broken = true;
	assert_failed(ask(&t, ATTEST), FAILED "The Nitro Secure Module did not answer", "nsm_unavailable");
	assert_failed(ask(&t, ATTEST_KEY), FAILED "The Nitro Secure Module did not answer", "nsm_unavailable");
	assert_true(at_rest(&t) && keys_count(t.keys) == 0);
	assert_rooms(&t);
	t.broken = false;
	assert_has(ask(&t, ATTEST), "\"success\":true");
	world_close(&t);
}

static void a_slow_nsm_keeps_its_client_no_longer_than_it_may(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	t.held = true;
	say(&t, fd, BYTES_LIT(ATTEST_KEY));
	UNTIL(&t, t.calls == 1);
	t.mono_ms += WORLD_NSM_MS - 1;
	turns(&t);
	assert_true(silent(fd));
	t.mono_ms += 1;
	turns(&t);
	assert_failed(hear(&t, fd), FAILED "The document was not ready in time; try again.", "nsm_unavailable");
	assert_int_equal(counted(&t).connections_open, 0);
	assert_int_equal(counted(&t).timeouts, 1);
	assert_int_equal(t.budget.outside_waiting, 1); /* it is still at it */
	assert_int_equal(keys_reserve(t.keys, &(struct why){0}), ERR_OK);
	keys_cancel(t.keys, NULL);
	t.held = false;
	UNTIL(&t, at_rest(&t));
	assert_int_equal(keys_count(t.keys), 0);
	assert_rooms(&t);
	world_close(&t);
}

struct hold {
	struct loop_job job;
	_Atomic bool over;
};

static void hold(struct loop_job *j)
{
	while (!((struct hold *)j)->over)
		(void)poll(NULL, 0, 1);
}

static void a_key_that_is_not_made_in_time_keeps_no_client_longer(void **state)
{
	struct world t;
	struct why w = {0};
	(void)state;
	world_open(&t, &(struct world_options){0});
	struct hold h = {.job = {.run = hold, .done = do_nothing}};
	assert_int_equal(loop_submit(t.loop, LANE_KEYS, &h.job, &w), ERR_OK);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(ATTEST_KEY));
	t.mono_ms += VSOCK_KEY_MS - 1;
	turns(&t);
	assert_true(silent(fd));
	t.mono_ms += 1;
	turns(&t);
	assert_failed(hear(&t, fd), FAILED "The document was not ready in time; try again.", "nsm_unavailable");
	assert_int_equal(counted(&t).timeouts, 1);
	h.over = true;
	UNTIL(&t, at_rest(&t));
	assert_int_equal(t.calls, 0);
	assert_int_equal(keys_count(t.keys), 0);
	assert_rooms(&t);
	world_close(&t);
}

/* The share of the NSM's queue that all outsiders have is for those who could use it now. */
static void keys_that_are_being_made_take_nothing_of_the_nsms_share(void **state)
{
	struct world t;
	struct why w = {0};
	struct hold busy = {.job = {.run = hold, .done = do_nothing}};
	int fd[KEYS_MAKING_MAX];
	(void)state;
	world_open(&t, &(struct world_options){.nsm_queue = 2});
	assert_int_equal(loop_submit(t.loop, LANE_KEYS, &busy.job, &w), ERR_OK);
	for (int i = 0; i < KEYS_MAKING_MAX; i++) {
		fd[i] = join(&t);
		say(&t, fd[i], BYTES_LIT(ATTEST_KEY));
	}
	assert_int_equal(t.budget.outside_waiting + t.budget.calls[BUDGET_VSOCK], 0);
	assert_has(ask(&t, ATTEST), "\"success\":true");
	assert_int_equal(budget_take(&t.budget, BUDGET_TLS, t.mono_ms, &w), ERR_OK); /* all of the share */
	busy.over = true;
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		assert_has(hear(&t, fd[i]), "\"code\":\"busy\"");
	assert_int_equal(t.budget.outside_waiting, 1);
	budget_give_back(&t.budget, BUDGET_TLS);
	assert_true(at_rest(&t) && keys_count(t.keys) == 0);
	assert_rooms(&t);
	world_close(&t);
}

static void the_nsm_has_its_own_time_after_the_key(void **state)
{
	struct world t;
	struct why w = {0};
	(void)state;
	world_open(&t, &(struct world_options){0});
	struct hold h = {.job = {.run = hold, .done = do_nothing}};
	assert_int_equal(loop_submit(t.loop, LANE_KEYS, &h.job, &w), ERR_OK);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(ATTEST_KEY));
	t.mono_ms += VSOCK_KEY_MS - 1;
	turns(&t);
	t.held = true;
	h.over = true;
	UNTIL(&t, t.calls == 1);
	assert_true(silent(fd));
	t.mono_ms += WORLD_NSM_MS - 1;
	turns(&t);
	assert_true(silent(fd));
	t.mono_ms += 1;
	turns(&t);
	assert_has(hear(&t, fd), "The document was not ready in time");
	world_close(&t);
}

static void a_key_is_kept_for_nobody_who_takes_no_reply(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(ATTEST_KEY));
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
	UNTIL(&t, at_rest(&t));
	assert_int_equal(t.calls, 1);
	assert_int_equal(keys_count(t.keys), 0);
	assert_rooms(&t);
	leave(&t, fd);
	world_close(&t);
}

static void a_client_that_leaves_takes_nothing_along(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int silent_one = join(&t), begun = join(&t), answered = join(&t);
	say(&t, begun, BYTES_LIT("{\"command\":\"att"));
	say(&t, answered, BYTES_LIT(PING));
	leave(&t, silent_one);
	leave(&t, begun);
	leave(&t, answered);
	assert_true(at_rest(&t));

	t.held = true;
	const int working = join(&t), queued = join(&t);
	say(&t, working, BYTES_LIT(ATTEST));
	UNTIL(&t, t.calls == 1);
	say(&t, queued, BYTES_LIT(ATTEST));
	leave(&t, queued);
	leave(&t, working);
	assert_int_equal(counted(&t).connections_open, 0);
	t.held = false;
	UNTIL(&t, at_rest(&t));
	assert_int_equal(t.calls, 1); /* what nobody waited for was not begun */

	const int makes_key = join(&t);
	say(&t, makes_key, BYTES_LIT(ATTEST_KEY));
	leave(&t, makes_key);
	UNTIL(&t, at_rest(&t));
	assert_int_equal(t.calls, 1);
	assert_int_equal(keys_count(t.keys), 0);
	assert_rooms(&t);
	world_close(&t);
}

static void a_client_that_has_said_its_all_still_gets_its_reply(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	t.held = true;
	say(&t, fd, BYTES_LIT("{\"command\":\"attest\"}"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	UNTIL(&t, t.calls == 1);
	turns(&t);
	t.held = false;
	assert_has(hear(&t, fd), "\"success\":true");
	world_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_attests_the_very_bytes),
		cmocka_unit_test(what_is_null_is_attested_as_null),
		cmocka_unit_test(a_generated_key_is_attested_and_kept),
		cmocka_unit_test(a_wrong_request_takes_nothing_of_the_budget),
		cmocka_unit_test(the_dummy_has_no_document),
		cmocka_unit_test(the_rate_of_attestations_is_limited),
		cmocka_unit_test(at_most_half_of_the_queue_is_filled),
		cmocka_unit_test(a_full_queue_is_told_and_gives_all_back),
		cmocka_unit_test(where_no_more_keys_are_kept_none_is_made),
		cmocka_unit_test(a_broken_nsm_is_told_of_without_its_inside),
		cmocka_unit_test(a_slow_nsm_keeps_its_client_no_longer_than_it_may),
		cmocka_unit_test(a_key_that_is_not_made_in_time_keeps_no_client_longer),
		cmocka_unit_test(keys_that_are_being_made_take_nothing_of_the_nsms_share),
		cmocka_unit_test(the_nsm_has_its_own_time_after_the_key),
		cmocka_unit_test(a_key_is_kept_for_nobody_who_takes_no_reply),
		cmocka_unit_test(a_client_that_leaves_takes_nothing_along),
		cmocka_unit_test(a_client_that_has_said_its_all_still_gets_its_reply),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
