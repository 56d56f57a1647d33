/* test_help.c - the layout of --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cmd/help.h"

static const struct help_row shared[] = {{"--one", "N", "first"}, {0}};
static const struct help_row own[] = {
	{"--a-name-too-long-to-stand-beside", "TEXT", "second"},
	{"--three", NULL, "third:"},
	{"deep", NULL, "of the third"},
	{0},
};
static const struct help_row words[] = {{"go", NULL, "goes"}, {0}};
static const struct help_part parts[] = {
	{.text = "A paragraph."}, {.rows = words}, {.rows = shared}, {.rows = own}, {.text = "Another."}, {0},
};
static const struct command plain = {
	.name = "group plain",
	.summary = "is plain",
	.synopsis = "go [--one N]\n--three",
	.help = parts,
	.exits = "0 done.",
	.examples = "attestd group plain go\nattestd group plain --three\n",
};
static const struct help_part one_part[] = {{.text = "Takes nothing."}, {0}};
static const struct command bare = {
	.name = "bare", .summary = "is bare", .synopsis = "", .help = one_part, .exits = "0 done."};
static const struct command *const grouped[] = {&plain, NULL};
static const struct command group = {
	.name = "group", .summary = "is made of one", .exits = "0 done.", .commands = grouped};
static const struct command *const commands[] = {&group, &bare, NULL};
static const struct command all = {.name = "", .summary = "is all", .exits = "0 done.", .commands = commands};

static void put_is(const struct command *c, const char *text)
{
	struct buf b = BUF_INIT(HELP_MAX);
	help_put(c, &b);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

static void words_are(const char *given, size_t column, size_t indent, bool whole, const char *text)
{
	struct buf b = BUF_INIT(HELP_MAX);
	help_put_words(&b, column, indent, bytes_str(given), whole);
	assert_string_equal(buf_cstr(&b), text);
	buf_free(&b);
}

#define TEN	"123456789 "
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static void lines_have_80_columns_and_no_more(void **state)
{
	(void)state;
	words_are(SEVENTY "1234567890 x", 0, 0, false, SEVENTY "1234567890\nx\n");
	words_are(SEVENTY "12345678901", 0, 0, false, TEN TEN TEN TEN TEN TEN "123456789\n12345678901\n");
	words_are(SEVENTY "x", 9, 2, false, SEVENTY "x\n");
	words_are(SEVENTY "x", 10, 2, false, TEN TEN TEN TEN TEN TEN "123456789\n  x\n");
	words_are("a  b ", 0, 0, false, "a b\n");
	words_are("", 5, 5, false, "\n");
}

static void a_word_longer_than_a_line_stands_alone(void **state)
{
	char word[HELP_WIDTH + 2];
	struct buf b = BUF_INIT(HELP_MAX);
	(void)state;
	memset(word, 'x', sizeof word - 1);
	word[sizeof word - 1] = '\0';
	help_put_words(&b, 0, 2, bytes_str(word), false);
	assert_int_equal(b.n, sizeof word);
	buf_free(&b);
}

static void what_is_in_brackets_stays_whole_where_wanted(void **state)
{
	(void)state;
	words_are(SEVENTY "[a (b)]... x", 0, 2, false, SEVENTY "[a (b)]...\n  x\n");
	words_are(SEVENTY "[a (b)]... x", 1, 2, false, SEVENTY "[a\n  (b)]... x\n");
	words_are(SEVENTY "[a (b)]... x", 1, 2, true, TEN TEN TEN TEN TEN TEN "123456789\n  [a (b)]... x\n");
	words_are("a) [b c", 0, 0, true, "a) [b c\n");
}

static void the_help_is_laid_out_in_columns(void **state)
{
	(void)state;
	put_is(&plain, "usage: attestd group plain go [--one N]\n"
		       "       attestd group plain --three\n"
		       "\n"
		       "A paragraph.\n"
		       "\n"
		       "  go       goes\n"
		       "\n"
		       "  --one N  first\n"
		       "  --a-name-too-long-to-stand-beside TEXT\n"
		       "           second\n"
		       "  --three  third:\n"
		       "      deep    of the third\n"
		       "  --help   this text\n"
		       "\n"
		       "Another.\n"
		       "\n"
		       "Examples:\n"
		       "  attestd group plain go\n"
		       "  attestd group plain --three\n"
		       "\n"
		       "Exit status: 0 done.\n");
}

static void a_command_without_options_still_has_help(void **state)
{
	(void)state;
	put_is(&bare, "usage: attestd bare\n\nTakes nothing.\n\n  --help  this text\n\nExit status: 0 done.\n");
}

static void a_group_lists_its_commands_by_their_last_word(void **state)
{
	(void)state;
	put_is(&group, "usage: attestd group COMMAND [OPTIONS]\n\n  plain  is plain\n\n"
		       "attestd group COMMAND --help tells more.\n\nExit status: 0 done.\n");
	put_is(&all,
	       "usage: attestd COMMAND [OPTIONS]\n\n  group  is made of one\n  bare   is bare\n\n"
	       "attestd COMMAND --help tells more; attestd --version names the version.\n\nExit status: 0 done.\n");
}

static void options_are_found_by_their_whole_names(void **state)
{
	(void)state;
	assert_ptr_equal(help_option(&plain, "--one", 5), &shared[0]);
	assert_ptr_equal(help_option(&plain, "--three=x", 7), &own[1]);
	assert_null(help_option(&plain, "--one", 4));
	assert_null(help_option(&plain, "--ones", 6));
	assert_null(help_option(&plain, "deep", 4));
	assert_null(help_option(&plain, "go", 2));
	assert_null(help_option(&plain, "--help", 6));
	assert_null(help_option(&bare, "--one", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_80_columns_and_no_more),
		cmocka_unit_test(a_word_longer_than_a_line_stands_alone),
		cmocka_unit_test(what_is_in_brackets_stays_whole_where_wanted),
		cmocka_unit_test(the_help_is_laid_out_in_columns),
		cmocka_unit_test(a_command_without_options_still_has_help),
		cmocka_unit_test(a_group_lists_its_commands_by_their_last_word),
		cmocka_unit_test(options_are_found_by_their_whole_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
