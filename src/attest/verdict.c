/* verdict.c - filling in a verdict, and showing it as JSON. */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name, *text;
} codes[VERIFY_CODE_COUNT] = {
#define CODE_ROW(name, code, text) [VERIFY_##name] = {code, text},
	VERIFY_CODES(CODE_ROW)
#undef CODE_ROW
};

const char *verify_code_name(enum verify_code c)
{
	return codes[c].name;
}

const char *verify_code_text(enum verify_code c)
{
	return codes[c].text;
}

/* ---- filling in ---- */

/* A check that failed stays so, and keeps its first sentence. */
PRINTF_LIKE(4, 0)
static void set(struct verify_verdict *d, enum verify_check c, enum check_result r, const char *fmt, va_list ap)
{
	if (d->results[c] == CHECK_FAIL)
		return;
	d->results[c] = r;
	(void)vsnprintf(d->details[c], sizeof d->details[c], fmt, ap);
}

void verdict_pass(struct verify_verdict *d, enum verify_check c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set(d, c, CHECK_PASS, fmt, ap);
	va_end(ap);
}

void verdict_not_asked(struct verify_verdict *d, enum verify_check c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set(d, c, CHECK_NOT_ASKED, fmt, ap);
	va_end(ap);
}

void verdict_fail(struct verify_verdict *d, enum verify_check c, enum verify_code code, const char *field,
		  const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set(d, c, CHECK_FAIL, fmt, ap);
	va_end(ap);
	if (d->code != VERIFY_VERIFIED)
		return;
	d->code = code;
	(void)snprintf(d->message, sizeof d->message, "%s", d->details[c]);
	(void)snprintf(d->field, sizeof d->field, "%s", field != NULL ? field : "");
}

void verdict_warn(struct verify_verdict *d, const char *fmt, ...)
{
	if (d->n_warnings == VERIFY_WARNINGS_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(d->warnings[d->n_warnings++], sizeof d->warnings[0], fmt, ap);
	va_end(ap);
}

void verify_verdict_free(struct verify_verdict *d)
{
	if (d == NULL)
		return;
	json_free(d->claims);
	buf_free(&d->document);
	free(d);
}

void verdict_time(int64_t s, char out[CLOCK_TEXT_SIZE])
{
	const int64_t past_clock_text = INT64_C(253402300800);
	clock_text((s < 0 ? 0 : s > past_clock_text ? past_clock_text : s) * 1000, out);
}

/* ---- asking ---- */

bool verify_verdict_good(const struct verify_verdict *d)
{
	return d->good;
}

enum verify_code verify_verdict_code(const struct verify_verdict *d)
{
	return d->code;
}

const char *verify_verdict_message(const struct verify_verdict *d)
{
	return d->message;
}

struct bytes verify_verdict_pcr(const struct verify_verdict *d, unsigned index)
{
	return d->signed_facts && index < NSM_PCRS_MAX ? d->view.pcr[index] : bytes_of(NULL, 0);
}

struct bytes verify_verdict_user_data(const struct verify_verdict *d)
{
	return d->signed_facts ? d->view.user_data : bytes_of(NULL, 0);
}

int64_t verify_verdict_timestamp_ms(const struct verify_verdict *d)
{
	return d->signed_facts ? d->view.timestamp_ms : 0;
}

bool verify_verdict_debug(const struct verify_verdict *d)
{
	return d->signed_facts && d->debug;
}

/* ---- JSON ---- */

static void put_text(struct buf *out, const char *key, const char *text)
{
	json_put_key(out, key);
	json_put_cstr(out, text);
}

static void put_flag(struct buf *out, const char *key, bool value)
{
	json_put_key(out, key);
	json_put_bool(out, value);
}

static void put_hex(struct buf *out, const char *key, struct bytes x)
{
	json_put_key(out, key);
	json_put_hex(out, x);
}

static void put_time(struct buf *out, const char *key, int64_t s)
{
	char text[CLOCK_TEXT_SIZE];
	verdict_time(s, text);
	put_text(out, key, text);
}

static void put_checks(struct buf *out, const struct verify_verdict *d)
{
	static const char *const names[CHECK_COUNT] = {
#define CHECK_NAME(name, text) [CHECK_##name] = text,
		VERIFY_CHECKS(CHECK_NAME)
#undef CHECK_NAME
	};
	static const char *const results[] = {[CHECK_NOT_REACHED] = "not_reached",
					      [CHECK_NOT_ASKED] = "not_asked",
					      [CHECK_PASS] = "pass",
					      [CHECK_FAIL] = "fail"};
	json_put_key(out, "checks");
	buf_put_u8(out, '[');
	for (int c = 0; c < CHECK_COUNT; c++) {
		if (c > 0)
			buf_put_u8(out, ',');
		buf_put_u8(out, '{');
		put_text(out, "name", names[c]);
		put_text(out, "result", results[d->results[c]]);
		put_text(out, "detail", d->details[c]);
		buf_put_u8(out, '}');
	}
	buf_put_u8(out, ']');
}

static void put_warnings(struct buf *out, const struct verify_verdict *d)
{
	json_put_key(out, "warnings");
	buf_put_u8(out, '[');
	for (size_t i = 0; i < d->n_warnings; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		json_put_cstr(out, d->warnings[i]);
	}
	buf_put_u8(out, ']');
}

static void put_compared(struct buf *out, const struct verify_verdict *d)
{
	bool first = true;
	json_put_key(out, "pcrs_compared");
	buf_put_u8(out, '[');
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if ((d->compared >> i & 1u) == 0)
			continue;
		if (!first)
			buf_put_u8(out, ',');
		json_put_int(out, i);
		first = false;
	}
	buf_put_u8(out, ']');
}

static void put_claims(struct buf *out, const struct verify_verdict *d)
{
	struct why unused = {0};
	put_text(out, "purpose", d->purpose[0] != '\0' ? d->purpose : NULL);
	json_put_key(out, "claims");
	if (d->claims == NULL)
		json_put_cstr(out, NULL);
	else if (json_canon_all(json_root(d->claims), out, &unused) != ERR_OK)
		out->failed = true;
}

static void put_facts(struct buf *out, const struct verify_verdict *d)
{
	static const char *const identities[] = {
		[VERIFY_NOT_COMPARED] = "not_compared", [VERIFY_WEAK] = "weak", [VERIFY_COMPARED] = "compared"};
	const struct attest_view *v = &d->view;
	json_put_key(out, "module_id");
	json_put_string(out, v->module_id);
	json_put_key(out, "pcrs");
	attest_put_pcrs(out, v);
	put_hex(out, "user_data", v->user_data);
	put_hex(out, "nonce", v->nonce);
	put_hex(out, "public_key", v->public_key);
	json_put_key(out, "digest");
	json_put_string(out, v->digest);
	json_put_key(out, "timestamp");
	json_put_int(out, v->timestamp_ms);
	put_time(out, "time", v->timestamp_ms / 1000);
	json_put_key(out, "age_seconds");
	json_put_int(out, d->age_s);
	put_flag(out, "historic", d->historic);
	put_flag(out, "debug", d->debug);
	put_time(out, "certificate_not_before", d->not_before_s);
	put_time(out, "certificate_not_after", d->not_after_s);
	json_put_key(out, "root");
	buf_put_u8(out, '{');
	put_hex(out, "sha256", bytes_of(d->root_sha256, SHA256_SIZE));
	put_flag(out, "aws", d->aws_root);
	buf_put_u8(out, '}');
	put_time(out, "verified_at", d->at_s);
	put_text(out, "identity", identities[d->identity]);
	put_compared(out, d);
	put_claims(out, d);
}

static void put_no_facts(struct buf *out)
{
	static const char *const facts[] = {"module_id",
					    "pcrs",
					    "user_data",
					    "nonce",
					    "public_key",
					    "digest",
					    "timestamp",
					    "time",
					    "age_seconds",
					    "historic",
					    "debug",
					    "certificate_not_before",
					    "certificate_not_after",
					    "root",
					    "verified_at",
					    "identity",
					    "pcrs_compared",
					    "purpose",
					    "claims"};
	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
		put_text(out, facts[i], NULL);
}

void verify_verdict_json(const struct verify_verdict *d, struct buf *out)
{
	buf_put_u8(out, '{');
	put_flag(out, "verified", d->good);
	put_text(out, "code", verify_code_name(d->code));
	put_text(out, "message", d->message);
	put_text(out, "field", d->field[0] != '\0' ? d->field : NULL);
	put_checks(out, d);
	put_warnings(out, d);
	put_text(out, "input", d->input);
	if (d->signed_facts)
		put_facts(out, d);
	else
		put_no_facts(out);
	buf_put_u8(out, '}');
}
