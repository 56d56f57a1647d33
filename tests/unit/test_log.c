#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define AT	"2026-01-30T12:00:00Z "
#define JSON_AT "{\"time\":\"2026-01-30T12:00:00Z\",\"level\":\"info\",\"event\":\"e\""

struct fixture {
	struct log *log;
	int fds[2];
	char got[512 * 1024];
	size_t n;
};

static int64_t fixed(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400123);
}

static struct fixture *start(enum log_level level, enum log_format format)
{
	const struct clock clock = {NULL, fixed, fixed, fixed};
	struct fixture *f = calloc(1, sizeof *f);
	struct why w;

	assert_non_null(f);
	assert_int_equal(pipe2(f->fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(log_new(&f->log, f->fds[1], level, format, &clock, &w), ERR_OK);
	return f;
}

static void read_more(struct fixture *f)
{
	ssize_t n;

	while ((n = read(f->fds[0], f->got + f->n, sizeof f->got - 1 - f->n)) > 0)
		f->n += (size_t)n;
	f->got[f->n] = '\0';
}

/* Everything that has arrived since the last call, as a string. */
static const char *arrived(struct fixture *f)
{
	f->n = 0;
	read_more(f);
	return f->got;
}

static const char *flushed(struct fixture *f)
{
	log_flush(f->log);
	return arrived(f);
}

static void stop(struct fixture *f)
{
	log_free(f->log);
	close(f->fds[0]);
	close(f->fds[1]);
	free(f);
}

static void a_text_line_is_time_level_event_and_fields(void **state)
{
	struct fixture *f = start(LOG_INFO, LOG_TEXT);

	(void)state;
	log_event(f->log, LOG_INFO, "listening", LOG_S("address", "http://127.0.0.1:8765"), LOG_I("fd", -3),
		  LOG_B("b", BYTES_LIT("x/y")));
	assert_string_equal(arrived(f), "");
	assert_string_equal(flushed(f), AT "info listening address=http://127.0.0.1:8765 fd=-3 b=x/y\n");
	assert_string_equal(flushed(f), "");
	stop(f);
}

static void a_json_line_is_one_object(void **state)
{
	struct fixture *f = start(LOG_INFO, LOG_JSON);

	(void)state;
	log_event(f->log, LOG_INFO, "e", LOG_S("a", "x y"), LOG_I("i", INT64_MIN), LOG_B("b", BYTES_LIT("")));
	assert_string_equal(flushed(f), JSON_AT ",\"a\":\"x y\",\"i\":-9223372036854775808,\"b\":\"\"}\n");
	stop(f);
}

static void levels_below_the_threshold_are_silent(void **state)
{
	struct fixture *f = start(LOG_WARN, LOG_TEXT);

	(void)state;
	assert_true(log_wants(f->log, LOG_ERROR) && log_wants(f->log, LOG_WARN));
	assert_false(log_wants(f->log, LOG_INFO) || log_wants(f->log, LOG_DEBUG));
	log_event(f->log, LOG_INFO, "no", LOG_I("x", 1));
	log_event(f->log, LOG_WARN, "yes", LOG_I("x", 1));
	assert_string_equal(flushed(f), AT "warn yes x=1\n");
	stop(f);
}

static void errors_are_written_at_once(void **state)
{
	struct fixture *f = start(LOG_DEBUG, LOG_TEXT);

	(void)state;
	log_event(f->log, LOG_DEBUG, "first", LOG_I("x", 1));
	log_event(f->log, LOG_ERROR, "second", LOG_I("x", 2));
	assert_string_equal(arrived(f), AT "debug first x=1\n" AT "error second x=2\n");
	stop(f);
}

static void no_value_can_forge_a_line_or_a_field(void **state)
{
	static const struct {
		const char *in, *text, *json;
	} cases[] = {
		{"", "\"\"", "\"\""},
		{"a b", "\"a b\"", "\"a b\""},
		{"a=b", "\"a=b\"", "\"a=b\""},
		{"a\"b", "\"a\\\"b\"", "\"a\\\"b\""},
		{"a\\b", "a\\b", "\"a\\\\b\""},
		{"x\n2026-01-30T12:00:00Z error forged", "\"x\\u000a2026-01-30T12:00:00Z error forged\"",
		 "\"x\\u000a2026-01-30T12:00:00Z error forged\""},
		{"\r\t\x1b[31m\x7f", "\"\\u000d\\u0009\\u001b[31m\\u007f\"", "\"\\u000d\\u0009\\u001b[31m\\u007f\""},
		{"\xc2\x9b"
		 "\xe2\x80\xae",
		 "\"\\u009b\\u202e\"", "\"\\u009b\\u202e\""},
		{"\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\""},
		{"a\xff\xed\xa0\x80z", "\"a\\ufffd\\ufffd\\ufffd\\ufffdz\"", "\"a\\ufffd\\ufffd\\ufffd\\ufffdz\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fixture *f = start(LOG_INFO, LOG_TEXT), *j = start(LOG_INFO, LOG_JSON);
		char want[300];

		log_event(f->log, LOG_INFO, "e", LOG_S("v", cases[i].in));
		snprintf(want, sizeof want, AT "info e v=%s\n", cases[i].text);
		assert_string_equal(flushed(f), want);
		log_event(j->log, LOG_INFO, "e", LOG_S("v", cases[i].in));
		snprintf(want, sizeof want, JSON_AT ",\"v\":%s}\n", cases[i].json);
		assert_string_equal(flushed(j), want);
		stop(f);
		stop(j);
	}
}

static void every_byte_stays_on_its_line(void **state)
{
	struct fixture *f = start(LOG_INFO, LOG_TEXT);

	(void)state;
	for (int c = 0; c < 256; c++) {
		uint8_t v[3] = {'a', (uint8_t)c, 'b'};
		const char *line;

		log_event(f->log, LOG_INFO, "e", LOG_B("v", bytes_of(v, 3)));
		line = flushed(f);
		assert_ptr_equal(strchr(line, '\n'), line + f->n - 1);
		for (size_t i = 0; i + 1 < f->n; i++)
			assert_true(line[i] >= ' ' && line[i] < 0x7f);
	}
	stop(f);
}

static void values_are_cut_at_512_bytes_between_characters(void **state)
{
	char in[600], want[700];

	(void)state;
	for (size_t n = 511; n <= 513; n++) {
		struct fixture *f = start(LOG_INFO, LOG_TEXT);

		memset(in, 'x', n);
		in[n] = '\0';
		log_event(f->log, LOG_INFO, "e", LOG_S("v", in));
		if (n <= 512)
			snprintf(want, sizeof want, AT "info e v=%s\n", in);
		else
			snprintf(want, sizeof want, AT "info e v=\"%.512s...\"\n", in);
		assert_string_equal(flushed(f), want);
		memcpy(in + 511, "\xc3\xa9", 3);
		log_event(f->log, LOG_INFO, "e", LOG_S("v", in));
		snprintf(want, sizeof want, AT "info e v=\"%.511s...\"\n", in);
		assert_string_equal(flushed(f), want);
		stop(f);
	}
}

static void a_line_is_bounded_and_says_that_it_was_cut(void **state)
{
	static const struct {
		enum log_format format;
		const char *end;
	} cases[] = {{LOG_TEXT, "\" cut=true\n"}, {LOG_JSON, "\",\"cut\":true}\n"}};
	uint8_t worst[512];

	(void)state;
	memset(worst, 1, sizeof worst);
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(LOG_INFO, cases[i].format);
		struct log_field many[40];
		const char *line;

		for (size_t k = 0; k < 40; k++)
			many[k] = LOG_B("v", bytes_of(worst, sizeof worst));
		log_fields(f->log, LOG_INFO, "e", many, 40);
		line = flushed(f);
		assert_true(f->n <= 8192);
		assert_ptr_equal(strchr(line, '\n'), line + f->n - 1);
		assert_string_equal(line + f->n - strlen(cases[i].end), cases[i].end);
		stop(f);
	}
}

static void a_full_pipe_loses_whole_lines_and_counts_them(void **state)
{
	static const char dropped[] = AT "warn log_lines_dropped lines=";
	struct fixture *f = start(LOG_INFO, LOG_TEXT);
	char pad[401], want[512];
	size_t seen = 0, lost = 0;
	const size_t total = 1000;

	(void)state;
	memset(pad, 'p', sizeof pad - 1);
	pad[sizeof pad - 1] = '\0';
	snprintf(want, sizeof want, AT "info e v=%s\n", pad);
	for (size_t i = 0; i < total; i++) {
		log_event(f->log, LOG_INFO, "e", LOG_S("v", pad));
		log_flush(f->log);
	}
	for (int round = 0; round < 5; round++) {
		log_flush(f->log);
		read_more(f);
		if (round == 3)
			log_event(f->log, LOG_INFO, "last", LOG_I("x", 1));
	}
	for (const char *line = f->got; *line != '\0'; line = strchr(line, '\n') + 1) {
		assert_non_null(strchr(line, '\n'));
		if (strncmp(line, want, strlen(want)) == 0)
			seen++;
		else if (strncmp(line, dropped, strlen(dropped)) == 0)
			lost = strtoul(line + strlen(dropped), NULL, 10);
		else
			assert_string_equal(line, AT "info last x=1\n");
	}
	assert_true(lost > 0);
	assert_int_equal(seen + lost, total);
	stop(f);
}

static void a_closed_descriptor_does_no_harm(void **state)
{
	const struct clock clock = {NULL, fixed, fixed, fixed};
	struct log *l = NULL;
	struct why w;

	(void)state;
	assert_int_equal(log_new(&l, -1, LOG_INFO, LOG_TEXT, &clock, &w), ERR_OK);
	for (int i = 0; i < 5000; i++)
		log_event(l, LOG_ERROR, "e", LOG_I("x", i));
	log_free(l);
	log_flush(NULL);
	log_free(NULL);
}

static void a_why_becomes_code_text_and_field(void **state)
{
	struct fixture *f = start(LOG_INFO, LOG_TEXT);
	struct why w;

	(void)state;
	(void)why_set(&w, ERR_STORE, "disk full");
	log_why(f->log, LOG_WARN, "commit_failed", &w);
	(void)why_tell(&w, ERR_INVALID, "nonce", "bad");
	log_why(f->log, LOG_INFO, "refused", &w);
	assert_string_equal(flushed(f), AT "warn commit_failed code=storage_unavailable text=\"disk full\"\n" AT
					   "info refused code=validation_failed text=bad field=nonce\n");
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_line_is_time_level_event_and_fields),
		cmocka_unit_test(a_json_line_is_one_object),
		cmocka_unit_test(levels_below_the_threshold_are_silent),
		cmocka_unit_test(errors_are_written_at_once),
		cmocka_unit_test(no_value_can_forge_a_line_or_a_field),
		cmocka_unit_test(every_byte_stays_on_its_line),
		cmocka_unit_test(values_are_cut_at_512_bytes_between_characters),
		cmocka_unit_test(a_line_is_bounded_and_says_that_it_was_cut),
		cmocka_unit_test(a_full_pipe_loses_whole_lines_and_counts_them),
		cmocka_unit_test(a_closed_descriptor_does_no_harm),
		cmocka_unit_test(a_why_becomes_code_text_and_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
