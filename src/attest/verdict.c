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
	if (d->results[c] != CHECK_FAIL)
		d->codes[c] = code;
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
	d->warnings_lost = d->warnings_lost || d->n_warnings == VERIFY_WARNINGS_MAX;
	if (d->warnings_lost)
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

void verdict_span(int64_t s, char out[VERDICT_SPAN_SIZE])
{
	static const struct {
		int64_t from, seconds;
		const char *name;
	} units[] = {{3 * 86400, 86400, "days"}, {3 * 3600, 3600, "hours"}, {300, 60, "minutes"}, {0, 1, "s"}};
	const int64_t span = s >= 0 ? s : s == INT64_MIN ? INT64_MAX : -s;
	size_t i = 0;
	while (span < units[i].from)
		i++;
	(void)snprintf(out, VERDICT_SPAN_SIZE, "%lld %s", (long long)(span / units[i].seconds), units[i].name);
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

struct bytes verify_verdict_user_data(const struct verify_verdict *d)
{
	return d->signed_facts ? d->view.user_data : bytes_of(NULL, 0);
}

struct bytes verify_verdict_public_key(const struct verify_verdict *d)
{
	return d->signed_facts ? d->view.public_key : bytes_of(NULL, 0);
}

struct bytes verify_verdict_module_id(const struct verify_verdict *d)
{
	return d->signed_facts ? d->view.module_id : bytes_of(NULL, 0);
}

struct bytes verify_verdict_pcr(const struct verify_verdict *d, unsigned index)
{
	return d->signed_facts && index < NSM_PCRS_MAX ? d->view.pcr[index] : bytes_of(NULL, 0);
}

/* ---- JSON ---- */

static void put_text(struct buf *out, const char *key, const char *text)
{
	json_put_key(out, key);
	json_put_cstr(out, text);
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
	JSON_PUT_KEY(out, "checks");
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
	JSON_PUT_KEY(out, "warnings");
	buf_put_u8(out, '[');
	for (size_t i = 0; i < d->n_warnings; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		json_put_cstr(out, d->warnings[i]);
	}
	buf_put_u8(out, ']');
}

/* Writes the name of a member that states what was signed. False if nothing may be stated: then it is null. */
static bool fact(struct buf *out, const struct verify_verdict *d, const char *key)
{
	json_put_key(out, key);
	if (!d->signed_facts)
		json_put_cstr(out, NULL);
	return d->signed_facts;
}

static void fact_text(struct buf *out, const struct verify_verdict *d, const char *key, const char *text)
{
	if (fact(out, d, key))
		json_put_cstr(out, text);
}

static void fact_string(struct buf *out, const struct verify_verdict *d, const char *key, struct bytes text)
{
	if (fact(out, d, key))
		json_put_string(out, text);
}

static void fact_hex(struct buf *out, const struct verify_verdict *d, const char *key, struct bytes x)
{
	if (fact(out, d, key))
		json_put_hex(out, x);
}

static void fact_int(struct buf *out, const struct verify_verdict *d, const char *key, int64_t value)
{
	if (fact(out, d, key))
		json_put_int(out, value);
}

static void fact_flag(struct buf *out, const struct verify_verdict *d, const char *key, bool value)
{
	if (fact(out, d, key))
		json_put_bool(out, value);
}

static void fact_time(struct buf *out, const struct verify_verdict *d, const char *key, int64_t s)
{
	char text[CLOCK_TEXT_SIZE];
	verdict_time(s, text);
	fact_text(out, d, key, text);
}

static void put_root(struct buf *out, const struct verify_verdict *d)
{
	if (!fact(out, d, "root"))
		return;
	buf_put_u8(out, '{');
	fact_hex(out, d, "sha256", bytes_of(d->root_sha256, SHA256_SIZE));
	fact_flag(out, d, "aws", d->aws_root);
	buf_put_u8(out, '}');
}

static void put_claims(struct buf *out, const struct verify_verdict *d)
{
	struct why unused = {0};
	fact_text(out, d, "purpose", d->purpose[0] != '\0' ? d->purpose : NULL);
	if (!fact(out, d, "claims"))
		return;
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
	fact_string(out, d, "module_id", v->module_id);
	if (fact(out, d, "pcrs"))
		attest_put_pcrs(out, v);
	fact_hex(out, d, "user_data", v->user_data);
	fact_hex(out, d, "nonce", v->nonce);
	fact_hex(out, d, "public_key", v->public_key);
	fact_string(out, d, "digest", v->digest);
	fact_int(out, d, "timestamp", v->timestamp_ms);
	fact_time(out, d, "time", v->timestamp_ms / 1000);
	fact_int(out, d, "age_seconds", d->age_s);
	fact_flag(out, d, "historic", d->historic);
	fact_flag(out, d, "debug", d->debug);
	fact_time(out, d, "certificate_not_before", d->not_before_s);
	fact_time(out, d, "certificate_not_after", d->not_after_s);
	put_root(out, d);
	fact_time(out, d, "verified_at", d->at_s);
	fact_text(out, d, "identity", identities[d->identity]);
	if (fact(out, d, "pcrs_compared"))
		nsm_pcrs_json(d->compared, out);
	put_claims(out, d);
}

void verify_verdict_json(const struct verify_verdict *d, struct buf *out)
{
	buf_put_u8(out, '{');
	JSON_PUT_KEY(out, "verified");
	json_put_bool(out, d->good);
	put_text(out, "code", verify_code_name(d->code));
	put_text(out, "message", d->message);
	put_text(out, "field", d->field[0] != '\0' ? d->field : NULL);
	put_checks(out, d);
	put_warnings(out, d);
	put_text(out, "input", d->input);
	put_facts(out, d);
	buf_put_u8(out, '}');
}
