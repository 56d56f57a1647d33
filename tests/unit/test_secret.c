#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

static void a_secret_takes_64_bytes_and_not_65(void **state)
{
	struct secret s = SECRET_INIT;
	uint8_t x[SECRET_MAX + 1];
	struct why w = {0};

	(void)state;
	memset(x, 7, sizeof x);
	assert_int_equal(secret_set(&s, bytes_of(x, SECRET_MAX), &w), ERR_OK);
	assert_true(bytes_equal(secret_view(&s), bytes_of(x, SECRET_MAX)));
	assert_int_equal(secret_set(&s, bytes_of(x, SECRET_MAX + 1), &w), ERR_INTERNAL);
	assert_int_equal(s.n, SECRET_MAX);
}

static void a_shorter_secret_leaves_nothing_of_the_longer(void **state)
{
	struct secret s = SECRET_INIT;
	struct why w = {0};

	(void)state;
	assert_int_equal(secret_set(&s, BYTES_LIT("0123456789"), &w), ERR_OK);
	assert_int_equal(secret_set(&s, bytes_of(s.b + 4, 3), &w), ERR_OK);
	assert_true(bytes_is(secret_view(&s), "456"));
	assert_true(bytes_is_zero(bytes_of(s.b + 3, SECRET_MAX - 3)));
	assert_int_equal(secret_set(&s, bytes_of(NULL, 0), &w), ERR_OK);
	assert_true(bytes_is_zero(bytes_of(s.b, SECRET_MAX)));
}

static void wiping_leaves_zeros(void **state)
{
	struct secret s = SECRET_INIT;
	struct why w = {0};

	(void)state;
	assert_int_equal(secret_set(&s, BYTES_LIT("key"), &w), ERR_OK);
	secret_wipe(&s);
	assert_int_equal(s.n, 0);
	assert_true(bytes_is_zero(bytes_of(s.b, SECRET_MAX)));
	secret_wipe(NULL);
}

static void comparison_sees_every_bit_and_the_length(void **state)
{
	struct secret a = SECRET_INIT, b = SECRET_INIT;
	uint8_t x[32] = {1, 2, 3};
	struct why w = {0};

	(void)state;
	assert_int_equal(secret_set(&a, bytes_of(x, 32), &w), ERR_OK);
	assert_int_equal(secret_set(&b, bytes_of(x, 32), &w), ERR_OK);
	assert_true(secret_equal(secret_view(&a), secret_view(&b)));
	for (size_t bit = 0; bit < 256; bit++) {
		b.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(secret_equal(secret_view(&a), secret_view(&b)));
		assert_false(secret_equal(secret_view(&b), secret_view(&a)));
		b.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	b.n = 31;
	assert_false(secret_equal(secret_view(&a), secret_view(&b)));
	assert_true(secret_equal(bytes_of(NULL, 0), bytes_of("", 0)));
}

/* The VmFlags line of the mapping that holds p. */
static void flags_of(const void *p, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false;

	assert_non_null(f);
	out[0] = '\0';
	while (out[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
		uintptr_t from, to;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, size, "%s", line + 8);
	}
	fclose(f);
}

static void a_locked_secret_is_out_of_dumps_and_of_children(void **state)
{
	struct secret *s = NULL;
	char flags[512];
	struct why w = {0};
	int status = -1;
	pid_t child;

	(void)state;
	if (secret_new_locked(&s, &w) != ERR_OK) {
		print_message("skipped: %s\n", w.text);
		skip();
	}
	assert_int_equal(s->n, 0);
	assert_int_equal(secret_set(s, BYTES_LIT("key"), &w), ERR_OK);
	flags_of(s, flags, sizeof flags);
	assert_non_null(strstr(flags, " dd"));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
	assert_non_null(strstr(flags, " lo"));
#endif
	child = fork();
	if (child == 0)
		_exit(s->n == 0 && bytes_is_zero(bytes_of(s->b, SECRET_MAX)) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(bytes_is(secret_view(s), "key"));
	secret_free_locked(s);
	secret_free_locked(NULL);
}

/* In a child, because giving up root (which may lock without a limit) is for good. */
static int lock_without_permission(void)
{
	const struct rlimit none = {0, 0};
	struct secret *s = NULL;
	struct why w = {0};

	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
		return 2;
	if (secret_new_locked(&s, &w) == ERR_OK)
		return 2; /* sanitizers do not lock at all */
	return w.err == ERR_ENVIRONMENT && s == NULL && strstr(w.text, "LimitMEMLOCK") != NULL &&
			       strstr(w.text, "ulimit -l") != NULL
		       ? 0
		       : 1;
}

static void failing_to_lock_is_an_error_that_says_what_to_do(void **state)
{
	int status = -1;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(lock_without_permission());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2) {
		print_message(
			"skipped: locking cannot be made to fail here (a sanitizer, or no right to change user)\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_takes_64_bytes_and_not_65),
		cmocka_unit_test(a_shorter_secret_leaves_nothing_of_the_longer),
		cmocka_unit_test(wiping_leaves_zeros),
		cmocka_unit_test(comparison_sees_every_bit_and_the_length),
		cmocka_unit_test(a_locked_secret_is_out_of_dumps_and_of_children),
		cmocka_unit_test(failing_to_lock_is_an_error_that_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
