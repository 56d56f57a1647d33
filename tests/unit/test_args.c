/* test_args.c - the words of a command line become options and arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cmd/args.h"

static const struct help_row rows[] = {
	{"--name", "TEXT", "takes a value"},
	{"--names", "TEXT...", "takes one, again and again"},
	{"--on", NULL, "takes none"},
	{0},
};
static const struct help_part parts[] = {{.rows = rows}, {0}};
static const struct command command = {.name = "test", .help = parts};

enum { WORDS_MAX = 12 };

struct line {
	struct args a;
	char words[WORDS_MAX][32];
	char *argv[WORDS_MAX];
	int argc;
};

/* The words are separated by single spaces. */
static int read_line(struct line *l, const char *text)
{
	memset(l, 0, sizeof *l);
	for (int i = 0; i < WORDS_MAX; i++) {
		const size_t n = strcspn(text, " ");
		memcpy(l->words[i], text, n);
		l->argv[i] = l->words[i];
		l->argc = i + 1;
		text += n;
		if (*text++ == '\0')
			break;
	}
	return args_read(&l->a, &command, l->argc, l->argv);
}

static void a_value_is_the_next_word_or_stands_behind_the_equals_sign(void **state)
{
	struct line l;
	(void)state;
	assert_int_equal(read_line(&l, "test --name a --names=b=c --on"), CMD_OK);
	assert_string_equal(args_value(&l.a, "--name"), "a");
	assert_string_equal(args_value(&l.a, "--names"), "b=c");
	assert_true(args_has(&l.a, "--on"));
	assert_int_equal(l.a.n_rest, 0);
	assert_false(l.a.help);
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test --name --on --names="), CMD_OK);
	assert_string_equal(args_value(&l.a, "--name"), "--on");
	assert_string_equal(args_value(&l.a, "--names"), "");
	assert_false(args_has(&l.a, "--on"));
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test"), CMD_OK);
	assert_null(args_value(&l.a, "--name"));
	args_free(&l.a);
}

static void options_keep_their_order(void **state)
{
	struct line l;
	(void)state;
	assert_int_equal(read_line(&l, "test --names a --on --names b --on"), CMD_OK);
	assert_int_equal(l.a.n_options, 4);
	assert_string_equal(l.a.options[0].value, "a");
	assert_string_equal(l.a.options[1].name, "--on");
	assert_null(l.a.options[1].value);
	assert_string_equal(l.a.options[2].value, "b");
	args_free(&l.a);
}

static void a_value_is_given_once_unless_the_help_says_otherwise(void **state)
{
	struct line l;
	(void)state;
	assert_int_equal(read_line(&l, "test --name a --name a"), CMD_USAGE);
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test --name=a --names b --name="), CMD_USAGE);
	args_free(&l.a);
}

static void arguments_stand_anywhere_and_two_dashes_end_the_options(void **state)
{
	const char *only;
	struct line l;
	(void)state;
	assert_int_equal(read_line(&l, "test a --on - -- --name -- -x"), CMD_OK);
	assert_int_equal(l.a.n_rest, 5);
	assert_string_equal(l.a.rest[0], "a");
	assert_string_equal(l.a.rest[1], "-");
	assert_string_equal(l.a.rest[2], "--name");
	assert_string_equal(l.a.rest[3], "--");
	assert_string_equal(l.a.rest[4], "-x");
	assert_int_equal(args_only(&l.a, &only), CMD_USAGE);
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test a"), CMD_OK);
	assert_int_equal(args_only(&l.a, &only), CMD_OK);
	assert_string_equal(only, "a");
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test"), CMD_OK);
	assert_int_equal(args_only(&l.a, &only), CMD_OK);
	assert_null(only);
	args_free(&l.a);
}

static void every_command_has_help(void **state)
{
	struct line l;
	(void)state;
	assert_int_equal(read_line(&l, "test a --help --on"), CMD_OK);
	assert_true(l.a.help);
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test -h"), CMD_OK);
	assert_true(l.a.help);
	args_free(&l.a);
	assert_int_equal(read_line(&l, "test -- --help"), CMD_OK);
	assert_false(l.a.help);
	args_free(&l.a);
}

static void what_the_help_does_not_tell_of_is_no_option(void **state)
{
	static const char *const wrong[] = {"test --bogus",  "test --nam a", "test --o",    "test --on=1",
					    "test --on=",    "test -x",	     "test -on",    "test ---on",
					    "test --help=1", "test --hel",   "test --name", "test --on --name",
					    "test --=a",     "test -=",	     "test -1"};
	struct line l;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (read_line(&l, wrong[i]) != CMD_USAGE)
			fail_msg("`%s` is taken", wrong[i]);
		args_free(&l.a);
	}
}

static void numbers_are_decimal_digits_within_limits(void **state)
{
	static const char *const wrong[] = {"",	  "-",	"+1", " 1", "1 ", "0x1", "1.", "-1", "9223372036854775808",
					    "00", "007"};
	int64_t v = 7;
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_false(args_number(wrong[i], 0, INT64_MAX, &v));
	assert_false(args_number("-9223372036854775808", INT64_MIN, 0, &v));
	assert_false(args_number("4", 5, 6, &v));
	assert_false(args_number("7", 5, 6, &v));
	assert_false(args_number("-3", -2, 2, &v));
	assert_false(args_number("-02", -2, 2, &v));
	assert_int_equal(v, 7);
	assert_true(args_number("5", 5, 6, &v) && v == 5);
	assert_true(args_number("6", 5, 6, &v) && v == 6);
	assert_true(args_number("-2", -2, 2, &v) && v == -2);
	assert_true(args_number("0", 0, 7, &v) && v == 0);
	assert_true(args_number("9223372036854775807", 0, INT64_MAX, &v) && v == INT64_MAX);
}

static void an_options_number_is_within_limits_or_told(void **state)
{
	struct line l;
	int64_t v = 7;
	(void)state;
	assert_int_equal(read_line(&l, "test --name 5"), CMD_OK);
	assert_int_equal(args_int(&l.a, "--names", 1, 2, &v), CMD_OK);
	assert_int_equal(v, 7); /* it was not given */
	assert_int_equal(args_int(&l.a, "--name", 6, 9, &v), CMD_USAGE);
	assert_int_equal(args_int(&l.a, "--name", 1, 4, &v), CMD_USAGE);
	assert_int_equal(v, 7);
	assert_int_equal(args_int(&l.a, "--name", 5, 5, &v), CMD_OK);
	assert_int_equal(v, 5);
	args_free(&l.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_the_next_word_or_stands_behind_the_equals_sign),
		cmocka_unit_test(options_keep_their_order),
		cmocka_unit_test(a_value_is_given_once_unless_the_help_says_otherwise),
		cmocka_unit_test(arguments_stand_anywhere_and_two_dashes_end_the_options),
		cmocka_unit_test(every_command_has_help),
		cmocka_unit_test(what_the_help_does_not_tell_of_is_no_option),
		cmocka_unit_test(numbers_are_decimal_digits_within_limits),
		cmocka_unit_test(an_options_number_is_within_limits_or_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
