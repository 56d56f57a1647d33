/* How often the NSM may be asked, and by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "budget.h"

static void each_reach_has_a_bucket_of_its_own(void **state)
{
	struct budget b;
	struct why w = {0};
	(void)state;
	budget_init(&b, 1, 2, 64, 0);
	for (int r = 0; r < BUDGET_REACHES; r++) {
		for (int i = 0; i < 2; i++)
			assert_int_equal(budget_take(&b, (enum budget_reach)r, 0, &w), ERR_OK);
		assert_int_equal(budget_take(&b, (enum budget_reach)r, 0, &w), ERR_RATE);
		assert_true(w.tell);
		assert_int_equal(w.retry_after_s, 1);
		assert_string_equal(w.text, "More than 1 attestations a second were asked for; try again in 1 s.");
		assert_int_equal(b.calls[r], 2);
		assert_int_equal(b.refused[r], 1);
	}
}

static void outsiders_together_get_half_of_the_queue_and_local_callers_all(void **state)
{
	struct budget b;
	struct why w = {0};
	(void)state;
	budget_init(&b, 100, 100, 5, 0);
	assert_int_equal(budget_take(&b, BUDGET_PUBLIC, 0, &w), ERR_OK);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_OK);
	assert_int_equal(budget_take(&b, BUDGET_PUBLIC, 0, &w), ERR_OK);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_BUSY);
	assert_true(w.tell && w.retry_after_s == 1);
	assert_int_equal(budget_take(&b, BUDGET_PUBLIC, 0, &w), ERR_BUSY);
	for (int i = 0; i < 20; i++)
		assert_int_equal(budget_take(&b, BUDGET_LOCAL, 0, &w), ERR_OK);
	budget_give_back(&b, BUDGET_LOCAL); /* is nobody else's */
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_BUSY);
	budget_give_back(&b, BUDGET_PUBLIC);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_OK);
	assert_int_equal(b.refused[BUDGET_VSOCK], 2);
	assert_int_equal(b.refused[BUDGET_PUBLIC], 1);
	assert_int_equal(b.calls[BUDGET_LOCAL], 20);
}

static void a_queue_of_one_is_for_outsiders_too(void **state)
{
	struct budget b;
	struct why w = {0};
	(void)state;
	budget_init(&b, 100, 100, 1, 0);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_OK);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_BUSY);
}

static void a_refusal_for_the_queue_takes_no_token(void **state)
{
	struct budget b;
	struct why w = {0};
	(void)state;
	budget_init(&b, 1, 2, 1, 0);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_OK);
	for (int i = 0; i < 10; i++)
		assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_BUSY);
	budget_give_back(&b, BUDGET_VSOCK);
	assert_int_equal(budget_take(&b, BUDGET_VSOCK, 0, &w), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reach_has_a_bucket_of_its_own),
		cmocka_unit_test(outsiders_together_get_half_of_the_queue_and_local_callers_all),
		cmocka_unit_test(a_queue_of_one_is_for_outsiders_too),
		cmocka_unit_test(a_refusal_for_the_queue_takes_no_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
