#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/claim_table.h"
#include "attest/internal.h"
#include "base/encode.h"

/* 2026-01-30T12:00:00Z */
static int64_t noon(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400000);
}

/* far ahead, so that every file has settled */
static int64_t year_2100(void *ctx)
{
	(void)ctx;
	return INT64_C(4102444800000);
}

#define HEAD                                                                   \
	"{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-30T12:00:00Z\"," \
	"\"agent\":\"OpenClaw\",\"guardrail\":\"LLM Proxy with Guardrails\""

struct world {
	struct verify *verify;
	char dir[32], file[48];
	struct crypto *crypto;
	struct log *log;
	struct clock clock;
	struct nsm *nsm;
	struct attest *a;
};

static struct attest_options options(const char *metadata_file)
{
	return (struct attest_options){.agent = "OpenClaw",
				       .guardrail = "LLM Proxy with Guardrails",
				       .metadata_file = metadata_file,
				       .info_name = "attestd",
				       .info_version = "0.1.0",
				       .info_build = "",
				       .root = verify_aws_root()};
}

static int setup(void **s)
{
	struct world *t = calloc(1, sizeof(*t));
	struct why w;
	bool fell;
	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/attestd-claims-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->file, sizeof(t->file), "%s/metadata.json", t->dir);
	t->clock = (struct clock){NULL, noon, noon, noon};
	assert_int_equal(crypto_new(&t->crypto, &w), ERR_OK);
	assert_int_equal(log_new(&t->log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR, LOG_TEXT, &t->clock, &w),
			 ERR_OK);
	assert_int_equal(nsm_open(&t->nsm, "dummy", &(struct nsm_env){.device_path = ""}, &fell, &w), ERR_OK);
	assert_int_equal(verify_new(&t->verify, t->crypto, &t->clock, &w), ERR_OK);
	struct attest_options o = options(t->file);
	assert_int_equal(attest_new(&t->a, &o, t->nsm, t->crypto, t->verify, &t->clock, t->log, &w), ERR_OK);
	*s = t;
	return 0;
}

static int teardown(void **s)
{
	struct world *t = *s;
	attest_free(t->a);
	verify_free(t->verify);
	nsm_close(t->nsm);
	log_free(t->log);
	crypto_free(t->crypto);
	(void)unlink(t->file);
	assert_int_equal(rmdir(t->dir), 0);
	free(t);
	return 0;
}

static void put_bytes(const char *path, struct bytes text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static void put(struct world *t, const char *text)
{
	put_bytes(t->file, bytes_str(text));
}

static enum err make(struct world *t, const struct attest_claim *own, size_t n, bool with, struct attest_claims *c,
		     struct why *w)
{
	return attest_claims_make(t->a, ATTEST_ATTESTATION, own, n, with, c, w);
}

/* The claims with metadata are `want`, and nothing goes beside them. */
static void claims_are(struct world *t, const char *want)
{
	struct attest_claims c;
	struct why w = {.text = ""};
	if (make(t, NULL, 0, true, &c, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_string_equal(buf_cstr(&c.user_data), want);
	assert_int_equal(c.metadata.n, 0);
	attest_claims_free(&c);
}

static void unusable(struct world *t, const char *fault)
{
	struct attest_claims c = {.wall_ms = 5};
	struct why w;
	char want[WHY_TEXT_MAX];
	assert_int_equal(make(t, NULL, 0, true, &c, &w), ERR_METADATA);
	assert_true(w.tell);
	(void)snprintf(want, sizeof(want), "The agent metadata file cannot be used: %s", fault);
	if (strncmp(w.text, want, strlen(want)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", w.text, want);
	assert_non_null(strstr(w.text, " Mend the file or send include_metadata=false."));
	assert_int_equal(c.wall_ms, 5);
	assert_int_equal(make(t, NULL, 0, false, &c, &w), ERR_OK);
	assert_string_equal(buf_cstr(&c.user_data), HEAD "}");
	attest_claims_free(&c);
}

static void claims_begin_with_purpose_time_agent_and_guardrail(void **s)
{
	struct world *t = *s;
	struct attest_claims c;
	struct why w;
	assert_int_equal(make(t, NULL, 0, false, &c, &w), ERR_OK);
	assert_string_equal(buf_cstr(&c.user_data), HEAD "}");
	assert_int_equal(c.wall_ms, INT64_C(1769774400000));
	assert_int_equal(c.purpose, ATTEST_ATTESTATION);
	attest_claims_free(&c);
	attest_claims_free(NULL);
}

static void each_purpose_has_its_name(void **s)
{
	struct world *t = *s;
	static const char *const names[] = {"{\"purpose\":\"attestation\",", "{\"purpose\":\"key-exchange\",",
					    "{\"purpose\":\"info\",", "{\"purpose\":\"tls\",",
					    "{\"purpose\":\"peer\","};
	for (enum attest_purpose p = 0; p < ATTEST_PURPOSES; p++) {
		struct attest_claims c;
		struct why w;
		assert_int_equal(attest_claims_make(t->a, p, NULL, 0, false, &c, &w), ERR_OK);
		assert_memory_equal(c.user_data.p, names[p], strlen(names[p]));
		attest_claims_free(&c);
	}
}

static void own_claims_come_before_metadata_and_are_escaped(void **s)
{
	struct world *t = *s;
	const struct attest_claim own[] = {{"custom_digest", BYTES_LIT("ab\"c")},
					   {"custom_digest_method", BYTES_LIT("sha256")}};
	struct attest_claims c;
	struct why w;
	put(t, " {\"version\" : \"1.2\", \"b\": [1 ,2.50, {\"y\":null,\"x\":\"\x7f\"}], \"a\":1e16}\n");
	assert_int_equal(make(t, own, 2, true, &c, &w), ERR_OK);
	assert_string_equal(buf_cstr(&c.user_data), HEAD
			    ",\"custom_digest\":\"ab\\\"c\",\"custom_digest_method\":\"sha256\",\"version\":\"1.2\","
			    "\"b\":[1, 2.5, {\"x\": \"\\u007f\", \"y\": null}],\"a\":1e+16}");
	attest_claims_free(&c);
}

static void a_claim_of_unknown_name_or_of_another_purpose_is_our_own_fault(void **s)
{
	struct world *t = *s;
	struct attest_claims c;
	struct why w;
	assert_int_equal(make(t, &(struct attest_claim){"role", BYTES_LIT("x")}, 1, false, &c, &w), ERR_INTERNAL);
	assert_int_equal(make(t, &(struct attest_claim){"surprise", BYTES_LIT("x")}, 1, false, &c, &w), ERR_INTERNAL);
}

static void an_empty_object_adds_nothing(void **s)
{
	put(*s, "{}");
	claims_are(*s, HEAD "}");
}

static void no_metadata_file_adds_nothing(void **s)
{
	struct world *t = *s;
	struct attest_options o = options("");
	struct attest *a = NULL;
	struct attest_claims c;
	struct why w;
	assert_int_equal(attest_new(&a, &o, t->nsm, t->crypto, t->verify, &t->clock, t->log, &w), ERR_OK);
	assert_int_equal(attest_claims_make(a, ATTEST_INFO, NULL, 0, true, &c, &w), ERR_OK);
	assert_non_null(strstr(buf_cstr(&c.user_data), "Guardrails\"}"));
	attest_claims_free(&c);
	attest_free(a);
}

static void the_names_of_all_purposes_are_reserved(void **s)
{
	static const char *const names[] = {"purpose",
					    "timestamp",
					    "agent",
					    "guardrail",
					    "custom_digest",
					    "info_digest",
					    "info_digest_method",
					    "tls_cert_hash",
					    "tls_spki_hash",
					    "custom_digest_method",
					    "role",
					    "key_hash",
					    "peer_key_hash",
					    "config_digest",
					    "key_origin",
					    "session_id",
					    "session_key_hash",
					    "user_key_hash",
					    "key_exchange_version",
					    "scope_hash",
					    "metadata_digest"};
	const size_t n = sizeof(names) / sizeof(names[0]);
	char text[128], fault[128];
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(text, sizeof(text), "{\"a\": 1, \"%s\": null}", names[i]);
		(void)snprintf(fault, sizeof(fault), "it uses the reserved name \"%s\".", names[i]);
		put(*s, text);
		unusable(*s, fault);
	}
	assert_int_equal(n, CLAIM_COUNT);
	put(*s, "{\"Purpose\": 1, \"nested\": {\"purpose\": 2}}");
	claims_are(*s, HEAD ",\"Purpose\":1,\"nested\":{\"purpose\": 2}}");
	put(*s, "{\"purpos\\u0065\": 1}");
	unusable(*s, "it uses the reserved name \"purpose\".");
}

static void a_file_that_is_no_json_object_is_refused(void **s)
{
	struct world *t = *s;
	static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "{\"a\":NaN}", "{} {}", "{\"a\":\"\\ud800\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(t, bad[i]);
		unusable(t, "");
	}
	put(t, "[1]");
	unusable(t, "it is not a JSON object.");
	put(t, "null");
	unusable(t, "it is not a JSON object.");
}

static void what_is_no_regular_file_is_refused_at_once(void **s)
{
	struct world *t = *s;
	unusable(t, "it is missing.");
	assert_int_equal(mkfifo(t->file, 0600), 0);
	unusable(t, "it is not a regular file.");
	(void)unlink(t->file);
	assert_int_equal(mkdir(t->file, 0700), 0);
	unusable(t, "it is not a regular file.");
	(void)rmdir(t->file);
	assert_int_equal(symlink("/dev/zero", t->file), 0);
	unusable(t, "it is not a regular file.");
}

static void a_symlink_to_a_file_will_do(void **s)
{
	struct world *t = *s;
	char real[64];
	(void)snprintf(real, sizeof(real), "%s/real", t->dir);
	put_bytes(real, BYTES_LIT("{\"a\":1}"));
	assert_int_equal(symlink(real, t->file), 0);
	claims_are(t, HEAD ",\"a\":1}");
	(void)unlink(real);
}

static void metadata_has_at_most_64_kib(void **s)
{
	struct world *t = *s;
	static uint8_t text[ATTEST_METADATA_MAX + 1];
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"a\":1}", 7);
	put_bytes(t->file, bytes_of(text, ATTEST_METADATA_MAX));
	claims_are(t, HEAD ",\"a\":1}");
	put_bytes(t->file, bytes_of(text, ATTEST_METADATA_MAX + 1));
	unusable(t, "it is larger than 64 KiB.");
}

/* A member that makes the claims n bytes long. */
static void fill(struct world *t, size_t n)
{
	char text[1024];
	size_t pad = n - strlen(HEAD ",\"a\":\"\"}");
	memset(text, 0, sizeof(text));
	memcpy(text, "{\"a\":\"", 6);
	memset(text + 6, 'x', pad);
	memcpy(text + 6 + pad, "\"}", 3);
	put(t, text);
}

static void metadata_that_does_not_fit_is_replaced_by_its_digest(void **s)
{
	struct world *t = *s;
	struct attest_claims c;
	struct why w;
	fill(t, NSM_USER_DATA_MAX);
	assert_int_equal(make(t, NULL, 0, true, &c, &w), ERR_OK);
	assert_int_equal(c.user_data.n, NSM_USER_DATA_MAX);
	assert_int_equal(c.metadata.n, 0);
	attest_claims_free(&c);

	fill(t, NSM_USER_DATA_MAX + 1);
	assert_int_equal(make(t, NULL, 0, true, &c, &w), ERR_OK);
	uint8_t digest[SHA256_SIZE];
	struct buf want = BUF_INIT(1024);
	assert_memory_equal(c.metadata.p, "{\"a\": \"xxx", 10);
	assert_int_equal(crypto_sha256(t->crypto, buf_bytes(&c.metadata), digest, &w), ERR_OK);
	buf_put_str(&want, HEAD ",\"metadata_digest\":\"");
	buf_put_hex(&want, bytes_of(digest, sizeof(digest)));
	buf_put_str(&want, "\"}");
	assert_true(bytes_equal(buf_bytes(&c.user_data), buf_bytes(&want)));
	attest_claims_free(&c);
	buf_free(&want);
}

static void metadata_of_any_shape_is_replaced_when_it_is_too_large(void **s)
{
	struct world *t = *s;
	static char text[ATTEST_METADATA_MAX + 1];
	/* DEL grows the most: six characters in the canonical form */
	memset(text, 0x7f, ATTEST_METADATA_MAX);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + ATTEST_METADATA_MAX - 2, "\"}", 3);
	put(t, text);
	struct attest_claims c;
	struct why w;
	assert_int_equal(make(t, NULL, 0, true, &c, &w), ERR_OK);
	assert_int_equal(c.metadata.n, 9 + 6 * (ATTEST_METADATA_MAX - 8));
	assert_non_null(strstr(buf_cstr(&c.user_data), "\"metadata_digest\":\""));
	assert_true(c.user_data.n <= NSM_USER_DATA_MAX);
	attest_claims_free(&c);
}

static void claims_beyond_512_bytes_are_an_error(void **s)
{
	struct world *t = *s;
	char value[600];
	memset(value, 'x', sizeof(value));
	const size_t room = NSM_USER_DATA_MAX - strlen(HEAD ",\"custom_digest\":\"\"}");
	struct attest_claims c;
	struct why w;
	struct attest_claim own = {"custom_digest", {(uint8_t *)value, room}};
	assert_int_equal(make(t, &own, 1, false, &c, &w), ERR_OK);
	assert_int_equal(c.user_data.n, NSM_USER_DATA_MAX);
	attest_claims_free(&c);
	for (own.value.n = room + 1; own.value.n <= sizeof(value); own.value.n++) {
		assert_int_equal(make(t, &own, 1, false, &c, &w), ERR_CLAIMS);
		assert_false(w.tell);
	}
	memset(value, 1, sizeof(value)); /* six characters each */
	own.value.n = NSM_USER_DATA_MAX - 40;
	assert_int_equal(make(t, &own, 1, false, &c, &w), ERR_CLAIMS);
	put(t, "{\"a\":1}");
	memset(value, 'x', sizeof(value));
	own.value.n = room - 84;
	assert_int_equal(make(t, &own, 1, true, &c, &w), ERR_OK);
	attest_claims_free(&c);
	own.value.n = room;
	assert_int_equal(make(t, &own, 1, true, &c, &w), ERR_CLAIMS);
}

static void a_changed_file_is_read_again(void **s)
{
	struct world *t = *s;
	put(t, "{\"a\":1}");
	claims_are(t, HEAD ",\"a\":1}");
	put(t, "{\"a\":2}"); /* same size, and perhaps the same time */
	claims_are(t, HEAD ",\"a\":2}");
	char other[64];
	(void)snprintf(other, sizeof(other), "%s/new", t->dir);
	put_bytes(other, BYTES_LIT("{\"a\":3}"));
	assert_int_equal(rename(other, t->file), 0);
	claims_are(t, HEAD ",\"a\":3}");
	(void)unlink(t->file);
	unusable(t, "it is missing.");
	put(t, "{\"a\":4}");
	claims_are(t, HEAD ",\"a\":4}");
}

static void a_settled_file_is_read_once(void **s)
{
	struct world *t = *s;
	struct attest_metadata m = ATTEST_METADATA_INIT;
	struct why w;
	bool changed = false;
	put(t, "{\"a\":1}");
	assert_int_equal(attest_metadata_refresh(&m, t->file, t->crypto, year_2100(NULL), &changed, &w), ERR_OK);
	assert_true(changed);
	assert_true(m.settled);
	const uint8_t *p = m.canonical.p;
	assert_int_equal(attest_metadata_refresh(&m, t->file, t->crypto, year_2100(NULL), &changed, &w), ERR_OK);
	assert_false(changed);
	assert_ptr_equal(m.canonical.p, p);
	put(t, "{\"a\":22}");
	assert_int_equal(attest_metadata_refresh(&m, t->file, t->crypto, year_2100(NULL), &changed, &w), ERR_OK);
	assert_true(changed);
	attest_metadata_free(&m);
}

static enum err new_with(struct world *t, size_t agent, size_t guardrail)
{
	char a[600], g[600];
	struct attest *made = NULL;
	struct why w;
	memset(a, 'a', agent);
	memset(g, 'g', guardrail);
	a[agent] = g[guardrail] = '\0';
	struct attest_options o = options("");
	o.agent = a;
	o.guardrail = g;
	enum err e = attest_new(&made, &o, t->nsm, t->crypto, t->verify, &t->clock, t->log, &w);
	if (e == ERR_CONFIG)
		assert_non_null(strstr(w.text, "agent and guardrail are too long together"));
	attest_free(made);
	return e;
}

static void agent_and_guardrail_must_leave_room_for_the_longest_claims(void **s)
{
	struct world *t = *s;
	const size_t longest =
		strlen("{\"purpose\":\"key-exchange\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"\","
		       "\"guardrail\":\"\",\"session_id\":\"\",\"session_key_hash\":\"\",\"user_key_hash\":\"\","
		       "\"key_exchange_version\":\"1.1\",\"scope_hash\":\"\"}") +
		43 + 3 * 64;
	const size_t room = NSM_USER_DATA_MAX - longest;
	assert_int_equal(room, 88); /* NAMES_JSON_MAX of src/config/check.c: whoever changes one changes both */
	assert_int_equal(new_with(t, 8, room - 8), ERR_OK);
	assert_int_equal(new_with(t, 8, room - 7), ERR_CONFIG);
	assert_int_equal(new_with(t, 0, room), ERR_OK);
	assert_int_equal(new_with(t, 599, 599), ERR_CONFIG);
	print_message("agent and guardrail have %zu bytes together\n", room);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(claims_begin_with_purpose_time_agent_and_guardrail),
		TEST(each_purpose_has_its_name),
		TEST(own_claims_come_before_metadata_and_are_escaped),
		TEST(a_claim_of_unknown_name_or_of_another_purpose_is_our_own_fault),
		TEST(an_empty_object_adds_nothing),
		TEST(no_metadata_file_adds_nothing),
		TEST(the_names_of_all_purposes_are_reserved),
		TEST(a_file_that_is_no_json_object_is_refused),
		TEST(what_is_no_regular_file_is_refused_at_once),
		TEST(a_symlink_to_a_file_will_do),
		TEST(metadata_has_at_most_64_kib),
		TEST(metadata_that_does_not_fit_is_replaced_by_its_digest),
		TEST(metadata_of_any_shape_is_replaced_when_it_is_too_large),
		TEST(claims_beyond_512_bytes_are_an_error),
		TEST(a_changed_file_is_read_again),
		TEST(a_settled_file_is_read_once),
		TEST(agent_and_guardrail_must_leave_room_for_the_longest_claims),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
