#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attest/verdict.h"
#include "config.h"
#include "reply_fixture.h"

enum { MEMBERS_MAX = 96, TEXT_MAX = 32 << 20 };

/* ---- replies, member by member ---- */

struct members {
	size_t n;
	char *names[MEMBERS_MAX], *values[MEMBERS_MAX]; /* JSON; value NULL: left out */
};

struct reply {
	struct reply_fixture f;
	struct reply_document doc;
	struct members shown, top;
	bool bare; /* the shown members alone */
};

static char **slot(struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->names[i], name) == 0)
			return &m->values[i];
	assert_true(m->n < MEMBERS_MAX);
	m->names[m->n] = strdup(name);
	return &m->values[m->n++];
}

static void set(struct members *m, const char *name, const char *json)
{
	char **v = slot(m, name);
	free(*v);
	*v = json == NULL ? NULL : strdup(json);
}

static void set_text(struct members *m, const char *name, struct bytes text)
{
	struct buf b = BUF_INIT(4096);
	json_put_string(&b, text);
	set(m, name, buf_cstr(&b));
	buf_free(&b);
}

static void set_hex(struct members *m, const char *name, struct bytes value)
{
	struct buf b = BUF_INIT(4096);
	json_put_hex(&b, value);
	set(m, name, buf_cstr(&b));
	buf_free(&b);
}

static void set_wrapped(struct members *m, size_t n)
{
	uint8_t key[RSA_WRAPPED_MAX + 1] = {0};
	struct buf b = BUF_INIT(4096);
	json_put_base64(&b, bytes_of(key, n));
	set(m, "encrypted_session_key", buf_cstr(&b));
	buf_free(&b);
}

static void set_int(struct members *m, const char *name, int64_t value)
{
	struct buf b = BUF_INIT(32);
	json_put_int(&b, value);
	set(m, name, buf_cstr(&b));
	buf_free(&b);
}

static void show(void *ctx, const char *name, const struct buf *value)
{
	struct buf b = BUF_INIT(64 * 1024);
	buf_put_bytes(&b, buf_bytes(value));
	set(ctx, name, buf_cstr(&b));
	buf_free(&b);
}

static void members_free(struct members *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->names[i]);
		free(m->values[i]);
	}
}

static void put_members(const struct members *m, struct buf *out)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->values[i] == NULL)
			continue;
		json_put_key(out, m->names[i]);
		buf_put_str(out, m->values[i]);
	}
	buf_put_u8(out, '}');
}

static void put_reply(struct reply *r, struct buf *out)
{
	buf_put_u8(out, '{');
	if (r->bare) {
		for (size_t i = 0; i < r->top.n; i++)
			set(&r->shown, r->top.names[i], r->top.values[i]);
		put_members(&r->shown, out);
		return;
	}
	if (*slot(&r->top, "attestation_document") == NULL) {
		JSON_PUT_KEY(out, "attestation_document");
		buf_put_u8(out, '{');
		put_members(&r->shown, out);
	}
	put_members(&r->top, out);
}

/* Through the text and through the parsed reply, which must come to the same. */
static struct verify_verdict *judge(struct reply *r)
{
	struct buf text = BUF_INIT(TEXT_MAX);
	struct verify_verdict *d = NULL, *again = NULL;
	struct json *j = NULL;
	put_reply(r, &text);
	assert_int_equal(buf_check(&text, &r->f.w), ERR_OK);
	assert_int_equal(verify_input(r->f.verify, buf_bytes(&text), VERIFY_AUTO, &r->f.policy, &d, &r->f.w), ERR_OK);
	assert_int_equal(json_parse(&j, buf_bytes(&text), &r->f.w), ERR_OK);
	assert_int_equal(verify_reply(r->f.verify, json_root(j), &r->f.policy, &again, &r->f.w), ERR_OK);
	assert_int_equal(again->code, d->code);
	assert_string_equal(again->field, d->field);
	assert_string_equal(again->message, d->message);
	assert_int_equal(again->n_warnings, d->n_warnings);
	verify_verdict_free(again);
	json_free(j);
	buf_free(&text);
	return d;
}

/* warns: part of the only warning; NULL for none; details are those of the check of the reply's members. */
static void accepted(struct reply *r, const char *warns, const char *says)
{
	struct verify_verdict *d = judge(r);
	if (!d->good)
		fail_msg("%s %s: %s", verify_code_name(d->code), d->field, d->message);
	assert_int_equal(d->results[CHECK_REPLY], CHECK_PASS);
	const char *warning = NULL;
	for (size_t i = 0; i < d->n_warnings; i++)
		if (strstr(d->warnings[i], "reply") != NULL)
			warning = d->warnings[i];
	if ((warns == NULL) != (warning == NULL) || (warns != NULL && strstr(warning, warns) == NULL))
		fail_msg("warned: %s", warning == NULL ? "not at all" : warning);
	if (says != NULL && strstr(d->details[CHECK_REPLY], says) == NULL)
		fail_msg("said: %s", d->details[CHECK_REPLY]);
	verify_verdict_free(d);
}

static void refused(struct reply *r, enum verify_code code, const char *field)
{
	struct verify_verdict *d = judge(r);
	if (d->good || d->code != code || strcmp(d->field, field) != 0)
		fail_msg("%s %s: %s, not %s %s", verify_code_name(d->code), d->field, d->message,
			 verify_code_name(code), field);
	verify_verdict_free(d);
}

/* A lie in one member, which is then taken back. */
static void lie_as(struct reply *r, struct members *m, const char *name, const char *json, enum verify_code code,
		   const char *field)
{
	char **v = slot(m, name), *truth = *v;
	*v = NULL;
	set(m, name, json);
	refused(r, code, field);
	v = slot(m, name);
	free(*v);
	*v = truth;
}

static void lie(struct reply *r, const char *name, const char *json)
{
	lie_as(r, &r->top, name, json, VERIFY_REPLY_MISMATCH, name);
}

/* ---- the kinds ---- */

#define STAMP	  "2026-01-30T12:00:00Z"
#define HASH_A	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B	  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define CLAIMS(p) "{\"purpose\":\"" p "\",\"timestamp\":\"" STAMP "\",\"agent\":\"A\",\"guardrail\":\"G\""
#define KEY_EXCHANGE                                                                                             \
	CLAIMS("key-exchange")                                                                                   \
	",\"session_id\":\"" ID "\",\"session_key_hash\":\"" HASH_A "\",\"user_key_hash\":\"" HASH_B "\",\"key_" \
	"exchange_version\":\"1.1\"}"
#define INFO CLAIMS("info") ",\"info_digest\":\"" HASH_A "\",\"info_digest_method\":\"sha256\"}"

/* Of bytes that stand for a certificate: "Sixty bytes that stand for a certificate in its DER form: ok", by sha256sum
 * and base64. */
#define CERT_HASH  "fee69240d9eb414e9a8945ffc4ba1c32eb797eea34fd02b5ea12fc0facb6c293"
#define CERT_LINE1 "U2l4dHkgYnl0ZXMgdGhhdCBzdGFuZCBmb3IgYSBjZXJ0aWZpY2F0ZSBpbiBpdHMg\\n"
#define CERT_LINE2 "REVSIGZvcm06IG9r\\n"
#define CERT_BEGIN "-----BEGIN CERTIFICATE-----\\n"
#define CERT_END   "-----END CERTIFICATE-----\\n"
#define TLS           \
	CLAIMS("tls") \
	",\"tls_cert_hash\":\"" CERT_HASH "\",\"tls_spki_hash\":\"" HASH_A "\",\"key_origin\":\"memory\"}"

static struct reply *begin(const char *user_data, const char *nonce, const char *public_key)
{
	struct reply *r = calloc(1, sizeof *r);
	assert_non_null(r);
	reply_fixture_open(&r->f);
	struct nsm_attestation a = {.nonce = {NULL, 0}};
	if (user_data != NULL)
		a.user_data = bytes_str(user_data);
	if (nonce != NULL)
		a.nonce = bytes_str(nonce);
	if (public_key != NULL)
		a.public_key = bytes_str(public_key);
	reply_document_make(&r->f, &a, &r->doc);
	reply_document_show(&r->doc, show, &r->shown);
	return r;
}

/* A reply of the REST server. */
static struct reply *rest(const char *claims, const char *nonce)
{
	struct reply *r = begin(claims, nonce, NULL);
	set_hex(&r->top, "pcr2", r->doc.view.pcr[2]);
	set(&r->top, "user_data", claims);
	set(&r->top, "timestamp", "\"" STAMP "\"");
	set_hex(&r->top, "nonce_hex", r->doc.view.nonce);
	set(&r->top, "nonce_encoding", nonce == NULL ? "null" : "\"text\"");
	set(&r->top, "tee_verified", "false");
	set(&r->top, "_warning", "\"SIMULATED\"");
	set(&r->top, "verification_instructions", "{\"summary\":\"\",\"steps\":[]}");
	return r;
}

static struct reply *key_exchange(void)
{
	struct reply *r = rest(KEY_EXCHANGE, "a nonce of its own");
	set(&r->top, "session_id", "\"" ID "\"");
	set(&r->top, "session_key_hash", "\"" HASH_A "\"");
	set(&r->top, "user_key_hash", "\"" HASH_B "\"");
	set_wrapped(&r->top, RSA_BITS_MIN / 8);
	set(&r->top, "expires_in_minutes", "60");
	return r;
}

static struct reply *info(void)
{
	struct reply *r = rest(INFO, NULL);
	set(&r->top, "quote", *slot(&r->shown, "document"));
	set(&r->top, "eventLog", "\"[]\"");
	return r;
}

static struct reply *tls(void)
{
	struct reply *r = rest(TLS, "a nonce");
	set(&r->top, "certificate", "\"" CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END "\"");
	set(&r->top, "tls_cert_hash", "\"" CERT_HASH "\"");
	set(&r->top, "tls_spki_hash", "\"" HASH_A "\"");
	set(&r->top, "key_origin", "\"memory\"");
	return r;
}

static void set_key_id(struct reply *r, struct bytes of)
{
	uint8_t hash[SHA256_SIZE];
	assert_int_equal(crypto_sha256(r->f.crypto, of, hash, &r->f.w), ERR_OK);
	set_hex(&r->top, "key_id", bytes_of(hash, sizeof hash));
}

static struct reply *vsock(const char *user_data, const char *nonce, const char *public_key)
{
	struct reply *r = begin(user_data, nonce, public_key);
	set(&r->top, "success", "true");
	set(&r->top, "attestation_document", *slot(&r->shown, "document"));
	set(&r->top, "user_data", "null");
	set(&r->top, "nonce", "null");
	if (user_data != NULL)
		set_text(&r->top, "user_data", bytes_str(user_data));
	if (nonce != NULL)
		set_text(&r->top, "nonce", bytes_str(nonce));
	set(&r->top, "has_public_key", public_key != NULL ? "true" : "false");
	set_int(&r->top, "document_size", (int64_t)r->doc.cose.n);
	set_int(&r->top, "timestamp", r->doc.view.timestamp_ms);
	set(&r->top, "tee_verified", "false");
	set(&r->top, "_warning", "\"SIMULATED\"");
	if (public_key != NULL) {
		set_key_id(r, r->doc.view.public_key);
		set(&r->top, "key_expires_in_seconds", "300");
	}
	return r;
}

static struct reply *bare(const char *user_data)
{
	struct reply *r = begin(user_data, NULL, NULL);
	r->bare = true;
	return r;
}

static void end(struct reply *r)
{
	members_free(&r->shown);
	members_free(&r->top);
	reply_document_free(&r->doc);
	reply_fixture_close(&r->f);
	free(r);
}

/* ---- tests ---- */

static void replies_that_say_what_is_signed_are_accepted(void **s)
{
	struct reply *all[] = {rest(CLAIMS("attestation") "}", NULL),
			       rest(CLAIMS("attestation") ",\"model\":\"x\"}", "nonce"),
			       key_exchange(),
			       info(),
			       tls(),
			       vsock("hello-from-enclave", "challenge-123", "key"),
			       vsock(NULL, NULL, NULL),
			       bare(NULL),
			       bare("text"),
			       bare(KEY_EXCHANGE)};
	(void)s;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		accepted(all[i], NULL, "repeats what is signed.");
		end(all[i]);
	}
}

static void shown_lies(struct reply *r, const char *prefix)
{
	static const struct {
		const char *name, *json;
	} lies[] = {
		{"module_id", "\"i-1\""},
		{"module_id", "null"},
		{"timestamp", "1"},
		{"timestamp", "\"2026-01-30T12:00:00Z\""},
		{"digest", "\"SHA512\""},
		{"pcrs", "{}"},
		{"pcrs", "[]"},
		{"pcrs", "null"},
		{"certificate", "\"AAAA\""},
		{"certificate", "null"},
		{"cabundle", "[]"},
		{"cabundle", "\"\""},
		{"public_key", "\"AAAA\""},
		{"public_key", "\"\""},
		{"user_data", "\"AAAA\""},
		{"user_data", "\"\""},
		{"nonce", "\"AAAA\""},
		{"nonce", "{}"},
	};
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		char field[64];
		(void)snprintf(field, sizeof field, "%s%s", prefix, lies[i].name);
		lie_as(r, &r->shown, lies[i].name, lies[i].json, VERIFY_REPLY_MISMATCH, field);
	}
	accepted(r, NULL, NULL);
}

static void every_member_that_shows_the_document_must_be_true(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	shown_lies(r, "attestation_document.");
	end(r);
	r = bare(NULL);
	shown_lies(r, "");
	end(r);
}

static char *changed(const char *json, const char *from, const char *to)
{
	struct buf b = BUF_INIT(TEXT_MAX);
	const char *at = strstr(json, from);
	assert_non_null(at);
	buf_put(&b, json, (size_t)(at - json));
	buf_put_str(&b, to);
	buf_put_str(&b, at + strlen(from));
	char *text = strdup(buf_cstr(&b));
	buf_free(&b);
	return text;
}

static void one_pcr_more_or_less_or_otherwise_is_a_lie(void **s)
{
	static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
				    "00000000000000";
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	const char *truth = *slot(&r->shown, "pcrs");
	char last[160], more[160], none[8] = "}";
	(void)s;
	(void)snprintf(last, sizeof last, ",\"15\":\"%s\"}", zeros);
	(void)snprintf(more, sizeof more, ",\"16\":\"%s\"}", zeros);
	char *const lies[] = {changed(truth, "\"a77e57d2", "\"a77e57d3"),
			      changed(truth, "\"a77e57d2", "\"A77E57D2"),
			      changed(truth, "\"a77e57d2", "\"77e57d2"),
			      changed(truth, "\"15\"", "\"16\""),
			      changed(truth, "\"1\"", "\"01\""),
			      changed(truth, last, none),
			      changed(truth, "}", more)};
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		lie_as(r, &r->shown, "pcrs", lies[i], VERIFY_REPLY_MISMATCH, "attestation_document.pcrs");
		free(lies[i]);
	}
	end(r);
}

static void one_certificate_more_or_less_or_otherwise_is_a_lie(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	const char *truth = *slot(&r->shown, "cabundle");
	(void)s;
	char *const lies[] = {changed(truth, "[", "[\"AAAA\","), changed(truth, "[\"M", "[\"N"),
			      changed(truth, "[\"", "[7,\"")};
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		lie_as(r, &r->shown, "cabundle", lies[i], VERIFY_REPLY_MISMATCH, "attestation_document.cabundle");
		free(lies[i]);
	}
	end(r);
}

static void every_member_of_a_reply_that_repeats_a_signed_value_must_be_true(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") ",\"model\":\"x\"}", "a nonce");
	(void)s;
	lie(r, "pcr2", "\"\"");
	lie(r, "pcr2", "null");
	lie(r, "pcr2", "2");
	lie(r, "user_data", CLAIMS("attestation") ",\"model\":\"y\"}");
	lie(r, "user_data", CLAIMS("attestation") "}");
	lie(r, "user_data", CLAIMS("attestation") ",\"model\":\"x\",\"more\":1}");
	lie(r, "user_data", "null");
	lie(r, "user_data", "\"text\"");
	lie(r, "user_data", "[]");
	lie(r, "user_data", "true");
	lie(r, "timestamp", "\"2026-01-30T12:00:01Z\"");
	lie(r, "timestamp", "1769774400123");
	lie(r, "timestamp", "null");
	lie(r, "nonce_hex", "\"61206e6f6e6366\"");
	lie(r, "nonce_hex", "\"61206E6F6E6365\"");
	lie(r, "nonce_hex", "null");
	lie(r, "custom_digest", "\"" HASH_A "\"");
	lie(r, "custom_digest_method", "\"sha256\"");
	lie(r, "custom_data", "{}");
	lie(r, "custom_data_canonical", "\"{}\"");
	lie(r, "metadata", "{}");
	accepted(r, NULL, NULL);
	end(r);
	r = rest(CLAIMS("attestation") "}", NULL);
	lie(r, "nonce_hex", "\"00\"");
	lie(r, "nonce_hex", "\"\"");
	end(r);
}

static void what_is_left_out_or_null_where_nothing_is_signed_is_no_lie(void **s)
{
	static const char *const none[] = {"custom_digest", "custom_digest_method", "custom_data",
					   "custom_data_canonical", "metadata"};
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		set(&r->top, none[i], "null");
	accepted(r, NULL, NULL);
	for (size_t i = 0; i < r->top.n; i++)
		set(&r->top, r->top.names[i], NULL);
	accepted(r, NULL, NULL);
	end(r);
}

static void members_may_stand_in_another_order_and_notation(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") ",\"model\":\"x\"}", NULL);
	(void)s;
	set(&r->top, "user_data",
	    "{ \"model\" : \"\\u0078\", \"guardrail\":\"G\", \"agent\":\"A\",\n\"timestamp\":\"" STAMP
	    "\",\"purpose\":\"attestation\"}");
	accepted(r, NULL, NULL);
	end(r);
}

static void a_key_exchange_says_whose_keys_it_is_about(void **s)
{
	struct reply *r = key_exchange();
	(void)s;
	lie(r, "session_id", "\"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"");
	lie(r, "session_key_hash", "\"" HASH_B "\"");
	lie(r, "session_key_hash", "null");
	lie(r, "user_key_hash", "\"" HASH_A "\"");
	lie(r, "user_key_hash", "7");
	lie(r, "scope_hash", "\"" HASH_A "\""); /* it has none */
	lie(r, "custom_data", "{}");
	end(r);
}

static void a_key_exchange_says_whose_conversation_it_is_for(void **s)
{
	static const char claims[] = CLAIMS(
		"key-exchange") ",\"session_id\":\"" ID "\",\"session_key_hash\":\"" HASH_A
				"\",\"user_key_hash\":\"" HASH_B
				"\",\"key_exchange_version\":\"1.1\",\"scope_hash\":\"" HASH_A "\"}";
	struct reply *r = rest(claims, NULL);
	(void)s;
	set_wrapped(&r->top, RSA_BITS_MIN / 8);
	accepted(r, NULL, NULL);
	set(&r->top, "scope_hash", "\"" HASH_A "\"");
	accepted(r, NULL, NULL);
	lie(r, "scope_hash", "\"" HASH_B "\"");
	lie(r, "scope_hash", "null");
	end(r);
}

static void a_certificate_must_be_the_attested_one_in_the_one_spelling_of_it(void **s)
{
	static const char *const lies[] = {
		"null",
		"\"\"",
		"{}",
		"\"" CERT_BEGIN CERT_LINE1 CERT_END "\"",
		"\"" CERT_BEGIN CERT_LINE2 CERT_LINE1 CERT_END "\"",
		"\"" CERT_BEGIN CERT_END "\"",
		"\"" CERT_BEGIN "\"",
		"\"" CERT_LINE1 CERT_LINE2 "\"",
		"\"" CERT_BEGIN CERT_LINE1 "\\n" CERT_LINE2 CERT_END "\"",
		"\"" CERT_BEGIN CERT_LINE1 CERT_LINE2 "\\n" CERT_END "\"",
		"\"" CERT_BEGIN " " CERT_LINE1 CERT_LINE2 CERT_END "\"",
		"\"text\\n" CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END "\"",
		"\"" CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END "\\n\"",
		"\"" CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END "\"",
		"\"-----BEGIN X509 CERTIFICATE-----\\n" CERT_LINE1 CERT_LINE2 CERT_END "\"",
	};
	struct reply *r = tls();
	struct buf long_one = BUF_INIT(64 * 1024);
	(void)s;
	accepted(r, NULL, NULL);
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		lie(r, "certificate", lies[i]);
	buf_put_str(&long_one, "\"" CERT_BEGIN);
	while (long_one.n < 2 * CERT_PEM_MAX)
		buf_put_str(&long_one, CERT_LINE1);
	buf_put_str(&long_one, CERT_END "\"");
	lie(r, "certificate", buf_cstr(&long_one));
	buf_free(&long_one);
	lie(r, "tls_cert_hash", "\"" HASH_A "\"");
	lie(r, "tls_spki_hash", "\"" CERT_HASH "\"");
	lie(r, "key_origin", "\"file\"");
	lie(r, "metadata", "null");
	lie(r, "custom_data", "null");
	end(r);
	/* What nobody attests is refused: a certificate beside an ordinary attestation passes for nothing. */
	r = rest(CLAIMS("attestation") "}", NULL);
	lie_as(r, &r->top, "certificate", "\"" CERT_BEGIN CERT_LINE1 CERT_LINE2 CERT_END "\"", VERIFY_PURPOSE_MISMATCH,
	       "user_data.purpose");
	end(r);
}

static void a_quote_must_be_the_document_itself(void **s)
{
	struct reply *r = info(), *other = info();
	(void)s;
	lie(r, "quote", *slot(&other->top, "quote"));
	lie(r, "quote", "null");
	lie(r, "quote", "\"\"");
	end(r);
	end(other);
}

static void each_kind_of_reply_has_its_purpose(void **s)
{
	static const char *const of_key_exchange[] = {"session_id", "encrypted_session_key", "session_key_hash",
						      "user_key_hash", "expires_in_minutes"};
	static const char *const of_info[] = {"quote", "eventLog"};
	static const char *const of_tls[] = {"certificate", "tls_cert_hash", "tls_spki_hash", "key_origin"};
	struct reply *r = rest(KEY_EXCHANGE, NULL);
	(void)s;
	refused(r, VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	end(r);
	r = rest(CLAIMS("attestation") "}", NULL);
	for (size_t i = 0; i < sizeof of_key_exchange / sizeof of_key_exchange[0]; i++)
		lie_as(r, &r->top, of_key_exchange[i], "null", VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	for (size_t i = 0; i < sizeof of_info / sizeof of_info[0]; i++)
		lie_as(r, &r->top, of_info[i], "null", VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	for (size_t i = 0; i < sizeof of_tls / sizeof of_tls[0]; i++)
		lie_as(r, &r->top, of_tls[i], "null", VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	end(r);
	r = rest("\"text\"", NULL);
	refused(r, VERIFY_CLAIMS_MALFORMED, "user_data");
	end(r);
}

static void any_one_of_its_members_tells_a_kind_of_reply(void **s)
{
	static const char *const of_key_exchange[] = {"session_id", "encrypted_session_key", "session_key_hash",
						      "user_key_hash", "expires_in_minutes"};
	struct reply *r = key_exchange();
	(void)s;
	for (size_t keep = 0; keep < sizeof of_key_exchange / sizeof of_key_exchange[0]; keep++) {
		struct reply *one = key_exchange();
		for (size_t i = 0; i < sizeof of_key_exchange / sizeof of_key_exchange[0]; i++) {
			set(&r->top, of_key_exchange[i], NULL);
			if (i != keep)
				set(&one->top, of_key_exchange[i], NULL);
		}
		accepted(one, NULL, NULL);
		end(one);
	}
	refused(r, VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	end(r);
	r = info();
	set(&r->top, "quote", NULL);
	accepted(r, NULL, NULL);
	set(&r->top, "eventLog", NULL);
	refused(r, VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	end(r);
}

static void a_reply_of_two_kinds_is_none(void **s)
{
	struct reply *r = key_exchange();
	(void)s;
	lie(r, "quote", *slot(&r->shown, "document"));
	lie(r, "eventLog", "\"[]\"");
	lie(r, "custom_data", "null");
	lie(r, "metadata", "null");
	lie(r, "certificate", "null");
	lie(r, "tls_spki_hash", "null");
	end(r);
	r = info();
	lie(r, "custom_digest", "null");
	lie(r, "certificate", "null");
	lie(r, "tls_spki_hash", "null");
	lie_as(r, &r->top, "expires_in_minutes", "60", VERIFY_PURPOSE_MISMATCH, "user_data.purpose");
	end(r);
}

static void a_vsock_reply_repeats_the_texts_that_were_sent(void **s)
{
	struct reply *r = vsock("hello-from-enclave", "challenge-123", NULL);
	(void)s;
	lie(r, "user_data", "\"hello-from-elsewhere\"");
	lie(r, "user_data", "null");
	lie(r, "user_data", "{}");
	lie(r, "nonce", "\"challenge-124\"");
	lie(r, "nonce", "null");
	lie(r, "has_public_key", "true");
	lie(r, "has_public_key", "null");
	lie(r, "document_size", "0");
	lie(r, "document_size", "\"1\"");
	end(r);
	r = vsock(NULL, NULL, "key");
	lie(r, "user_data", "\"x\"");
	lie(r, "nonce", "\"x\"");
	lie(r, "has_public_key", "false");
	end(r);
}

static void a_vsock_reply_tells_the_server_s_clock(void **s)
{
	static const int64_t skew_ms = (int64_t)VERIFY_SKEW_S * 1000;
	struct reply *r = vsock("text", NULL, NULL);
	const int64_t made = r->doc.view.timestamp_ms;
	(void)s;
	set_int(&r->top, "timestamp", made + skew_ms);
	accepted(r, NULL, NULL);
	set_int(&r->top, "timestamp", made - skew_ms);
	accepted(r, NULL, NULL);
	const int64_t lies[] = {made + skew_ms + 1, made - skew_ms - 1, -5, 0, INT64_MAX, INT64_MIN};
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		set_int(&r->top, "timestamp", lies[i]);
		refused(r, VERIFY_REPLY_MISMATCH, "timestamp");
	}
	lie(r, "timestamp", "\"" STAMP "\"");
	lie(r, "timestamp", "null");
	end(r);
}

static void a_key_id_is_the_hash_of_the_signed_public_key(void **s)
{
	struct reply *r = vsock("text", NULL, "key");
	char id[2 * SHA256_SIZE + 4]; /* "2c70...", of `key` by sha256sum */
	(void)s;
	accepted(r, NULL, "Not signed: success, timestamp, tee_verified, _warning, key_expires_in_seconds.");
	assert_string_equal(*slot(&r->top, "key_id"),
			    "\"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\"");
	(void)snprintf(id, sizeof id, "%s", *slot(&r->top, "key_id"));
	id[64] ^= 1;
	lie(r, "key_id", id);
	id[64] ^= 1;
	id[2] = 'C';
	lie(r, "key_id", id);
	id[2] = 'c';
	(void)snprintf(id + 65, sizeof id - 65, "0\"");
	lie(r, "key_id", id);
	(void)snprintf(id + 64, sizeof id - 64, "\"");
	lie(r, "key_id", id);
	lie(r, "key_id", "\"\"");
	lie(r, "key_id", "null");
	lie(r, "key_id", "{}");
	end(r);
	/* Without a key there is none, and no lifetime of one. */
	r = vsock("text", NULL, NULL);
	set_key_id(r, bytes_of(NULL, 0));
	refused(r, VERIFY_REPLY_MISMATCH, "key_id");
	set(&r->top, "key_id", NULL);
	lie(r, "key_id", "null");
	lie(r, "key_expires_in_seconds", "300");
	lie(r, "key_expires_in_seconds", "null");
	accepted(r, NULL, NULL);
	end(r);
}

static void a_generated_key_is_kept_for_at_most_a_day(void **s)
{
	static const char *const lies[] = {"0", "86401", "-1", "300.0", "\"300\"", "true", "null"};
	struct reply *r = vsock("text", NULL, "key");
	(void)s;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		lie(r, "key_expires_in_seconds", lies[i]);
	set(&r->top, "key_expires_in_seconds", "1");
	accepted(r, NULL, NULL);
	set(&r->top, "key_expires_in_seconds", "86400");
	accepted(r, NULL, NULL);
	end(r);
}

static void a_vsock_reply_says_what_it_thinks_of_its_document_in_no_other_form(void **s)
{
	struct reply *r = vsock("text", NULL, NULL);
	(void)s;
	lie(r, "tee_verified", "\"yes\"");
	lie(r, "tee_verified", "null");
	lie(r, "_warning", "null");
	lie(r, "_warning", "[]");
	set(&r->top, "tee_verified", "true");
	set(&r->top, "_warning", NULL);
	accepted(r, NULL, "Not signed: success, timestamp, tee_verified.");
	end(r);
}

static char *told(size_t n)
{
	char *text = malloc(n + 3);
	assert_non_null(text);
	memset(text, 'x', n + 2);
	text[0] = text[n + 1] = '"';
	text[n + 2] = '\0';
	return text;
}

/* n steps of one text, and it as the summary. */
static char *instructions(const char *text, size_t n)
{
	char *made = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&made, &size);
	assert_non_null(f);
	fprintf(f, "{\"summary\":%s,\"steps\":[", text);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i > 0 ? "," : "", text);
	fputs("]}", f);
	assert_int_equal(fclose(f), 0);
	return made;
}

static void what_is_told_in_words_has_an_end(void **s)
{
	struct reply *r = key_exchange();
	char *longest = told(4096), *longer = told(4097), *warning = told(1024), *more = told(1025);
	char *most = instructions(longest, 64), *too_many = instructions("\"x\"", 65),
	     *too_long = instructions(longer, 1);
	(void)s;
	set(&r->top, "verification_instructions", most);
	set(&r->top, "_warning", warning);
	set(&r->shown, "_warning", warning);
	accepted(r, NULL, NULL);
	lie(r, "verification_instructions", too_many);
	lie(r, "verification_instructions", too_long);
	lie(r, "_warning", more);
	lie_as(r, &r->shown, "_warning", more, VERIFY_REPLY_MISMATCH, "attestation_document._warning");
	free(longest);
	free(longer);
	free(warning);
	free(more);
	free(most);
	free(too_many);
	free(too_long);
	end(r);
}

static void nothing_signed_is_not_the_empty_text(void **s)
{
	struct reply *r = vsock(NULL, NULL, NULL);
	(void)s;
	lie(r, "user_data", "\"\"");
	lie(r, "nonce", "\"\"");
	end(r);
}

static void a_reply_dressed_up_as_another_kind_cannot_say_more(void **s)
{
	static const char *const names[] = {"pcr2",
					    "nonce_hex",
					    "nonce_encoding",
					    "session_key_hash",
					    "custom_digest",
					    "custom_data",
					    "custom_data_canonical",
					    "metadata",
					    "session_id",
					    "quote",
					    "eventLog",
					    "tee_verified",
					    "user_key_hash",
					    "scope_hash",
					    "purpose",
					    "encrypted_session_key",
					    "expires_in_minutes"};
	struct reply *all[] = {vsock("text", NULL, NULL), bare("text"), vsock(KEY_EXCHANGE, NULL, NULL),
			       bare(KEY_EXCHANGE)};
	(void)s;
	for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			lie(all[k], names[i], "\"lie\"");
			lie(all[k], names[i], "null");
		}
		lie(all[k], "timestamp", "\"" STAMP "\"");
		accepted(all[k], NULL, NULL);
		end(all[k]);
	}
}

/* ---- what the server does not send ---- */

static void a_member_that_the_server_does_not_send_is_a_lie(void **s)
{
	static const char *const names[] = {"balance",
					    "pcrs",
					    "module_id",
					    "public_key",
					    "document",
					    "digest",
					    "pcr0",
					    "pcr1",
					    "PCR2",
					    "Pcr2",
					    "USER_DATA",
					    "Attestation_Document",
					    "pcr2 ",
					    "purpose",
					    "agent",
					    "guardrail",
					    "metadata_digest",
					    "info_digest",
					    "key_exchange_version",
					    "verified",
					    "nonce",
					    "has_public_key",
					    "document_size",
					    "key_id",
					    "key_expires_in_seconds"};
	static const char *const shown[] = {"pcr2",
					    "nonce_hex",
					    "session_key_hash",
					    "custom_digest",
					    "tee_verified",
					    "memory",
					    "PCRs",
					    "attestation_document",
					    "verification_instructions"};
	struct reply *all[] = {rest(CLAIMS("attestation") "}", NULL), info(), key_exchange()};
	(void)s;
	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			lie(all[k], names[i], "true");
			lie(all[k], names[i], "null");
		}
		for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
			char field[64];
			(void)snprintf(field, sizeof field, "attestation_document.%s", shown[i]);
			lie_as(all[k], &all[k]->shown, shown[i], "null", VERIFY_REPLY_MISMATCH, field);
		}
		lie(all[k], "success", "true");
		accepted(all[k], NULL, NULL);
		end(all[k]);
	}
	struct reply *r = bare("text");
	lie_as(r, &r->shown, "pcr2", "null", VERIFY_REPLY_MISMATCH, "pcr2");
	lie_as(r, &r->shown, "PCRs", "null", VERIFY_REPLY_MISMATCH, "PCRs");
	end(r);
	r = vsock("text", NULL, NULL);
	lie(r, "error", "null");
	lie(r, "module_id", *slot(&r->shown, "module_id"));
	lie(r, "pcrs", *slot(&r->shown, "pcrs"));
	end(r);
}

static void a_name_is_shown_in_ascii_and_no_other_looks_like_it(void **s)
{
	static const struct {
		const char *name, *shown;
	} names[] = {
		{"", ""},
		{"pcr2\xe2\x80\x8b", "pcr2\\xe2\\x80\\x8b"},
		{"pcr2\\xe2", "pcr2\\x5cxe2"},
		{"\x1b[2J", "\\x1b[2J"},
		{"a\"b", "a\\x22b"},
		{"01234567890123456789012345678901", "01234567890123456789012345678901"},
		{"012345678901234567890123456789012", "01234567890123456789012345678901..."},
		{"0123456789012345678901234567\x7f", "0123456789012345678901234567\\x7f"},
		{"01234567890123456789012345678\x7f", "01234567890123456789012345678..."},
	};
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char said[128];
		set(&r->top, names[i].name, "1");
		refused(r, VERIFY_REPLY_MISMATCH, names[i].shown);
		struct verify_verdict *d = judge(r);
		(void)snprintf(said, sizeof said, "The server does not send \"%s\", which", names[i].shown);
		if (strstr(d->message, said) == NULL)
			fail_msg("%s", d->message);
		verify_verdict_free(d);
		set(&r->top, names[i].name, NULL);
	}
	accepted(r, NULL, NULL);
	end(r);
}

/* ---- what nothing signed vouches for ---- */

static void what_is_not_signed_is_named(void **s)
{
	struct reply *r = key_exchange();
	(void)s;
	set(&r->top, "tee_verified", "true");
	accepted(r, NULL,
		 "Not signed: nonce_encoding, tee_verified, _warning, verification_instructions, "
		 "encrypted_session_key, expires_in_minutes. Every other member repeats what is signed.");
	set(&r->shown, "_warning", "\"SIMULATED\"");
	accepted(r, NULL, "Not signed: attestation_document._warning, nonce_encoding, ");
	end(r);
	r = vsock("text", NULL, NULL);
	accepted(r, NULL, "Not signed: success, timestamp, tee_verified, _warning. Every other");
	end(r);
	r = bare("text");
	accepted(r, NULL, "Every member repeats what is signed.");
	end(r);
}

static void what_is_not_signed_has_the_form_that_the_server_gives_it(void **s)
{
	struct reply *r = key_exchange();
	(void)s;
	lie(r, "nonce_encoding", "null");
	lie(r, "nonce_encoding", "\"auto\"");
	lie(r, "nonce_encoding", "\"Hex\"");
	lie(r, "nonce_encoding", "1");
	lie(r, "tee_verified", "\"true\"");
	lie(r, "tee_verified", "null");
	lie(r, "_warning", "null");
	lie(r, "_warning", "{}");
	lie_as(r, &r->shown, "_warning", "1", VERIFY_REPLY_MISMATCH, "attestation_document._warning");
	lie(r, "verification_instructions", "\"curl example.org | sh\"");
	lie(r, "verification_instructions", "[]");
	lie(r, "verification_instructions", "null");
	lie(r, "verification_instructions", "{\"pcr0\":\"00\"}");
	lie(r, "verification_instructions", "{\"summary\":null}");
	lie(r, "verification_instructions", "{\"steps\":\"x\"}");
	lie(r, "verification_instructions", "{\"steps\":[{}]}");
	lie(r, "verification_instructions", "{\"steps\":[\"\\u001b[2J\"]}");
	lie(r, "_warning", "\"\\u00fc\"");
	lie(r, "encrypted_session_key", "null");
	lie(r, "encrypted_session_key", "\"\"");
	lie(r, "encrypted_session_key", "\"AAAA\"");
	char *cut = changed(*slot(&r->top, "encrypted_session_key"), "=", "");
	lie(r, "encrypted_session_key", cut);
	free(cut);
	lie(r, "expires_in_minutes", "0");
	lie(r, "expires_in_minutes", "-1");
	lie(r, "expires_in_minutes", "10081");
	lie(r, "expires_in_minutes", "60.0");
	lie(r, "expires_in_minutes", "\"60\"");
	set(&r->top, "expires_in_minutes", "10080");
	accepted(r, NULL, NULL);
	static const size_t fit[] = {RSA_BITS_MIN / 8, RSA_WRAPPED_MAX},
			    unfit[] = {RSA_BITS_MIN / 8 - 1, RSA_WRAPPED_MAX + 1};
	for (size_t i = 0; i < 2; i++) {
		set_wrapped(&r->top, fit[i]);
		accepted(r, NULL, NULL);
		set_wrapped(&r->top, unfit[i]);
		refused(r, VERIFY_REPLY_MISMATCH, "encrypted_session_key");
	}
	end(r);
	r = info();
	lie(r, "nonce_encoding", "\"hex\"");
	lie(r, "eventLog", "\"[{\\\"event\\\":1}]\"");
	lie(r, "eventLog", "[]");
	lie(r, "eventLog", "\"\"");
	end(r);
}

static void a_session_may_live_as_long_as_the_server_lets_it(void **s)
{
	char *none[] = {NULL};
	struct config *c = NULL;
	struct why w = {.text = ""};
	(void)s;
	assert_int_equal(config_parse(&c, "t", bytes_str("session_lifetime = 604800\n"), none, NULL, 0, &w), ERR_OK);
	assert_int_equal(c->session_lifetime / 60, 10080);
	config_free(c);
	c = NULL;
	assert_int_equal(config_parse(&c, "t", bytes_str("session_lifetime = 604801\n"), none, NULL, 0, &w),
			 ERR_CONFIG);
	config_free(c);
}

/* ---- all that is wrong ---- */

static void says(struct reply *r, const char *field, const char *message)
{
	struct verify_verdict *d = judge(r);
	assert_string_equal(d->field, field);
	assert_string_equal(d->message, message);
	assert_string_equal(d->details[CHECK_REPLY], message);
	verify_verdict_free(d);
}

static void every_lie_is_named(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	set(&r->top, "pcr2", "\"\"");
	says(r, "pcr2",
	     "The reply's pcr2 is not what the document signs. The reply was altered, or its sender lies: rely on "
	     "nothing but the document.");
	set(&r->top, "timestamp", "1");
	set(&r->shown, "digest", "1");
	says(r, "attestation_document.digest",
	     "The reply's attestation_document.digest, pcr2, timestamp are not what the document signs. The reply was "
	     "altered, or its sender lies: rely on nothing but the document.");
	set(&r->top, "balance", "1");
	set(&r->top, "tee_verified", "1");
	says(r, "attestation_document.digest",
	     "The reply's attestation_document.digest and 2 more are not what the document signs. The server does not "
	     "send \"balance\", which a person or a script could take for signed. The reply's tee_verified is not what "
	     "the server sends with such a document.");
	for (size_t i = 0; i < r->top.n; i++)
		set(&r->top, r->top.names[i], NULL);
	set(&r->shown, "digest", NULL);
	for (int i = 10; i < 40; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "pcr%d", i);
		set(&r->top, name, "1");
	}
	struct verify_verdict *d = judge(r);
	if (strstr(d->message, "send \"pcr10\", \"pcr11\", \"pcr12\", ") == NULL ||
	    strstr(d->message, "\"pcr25\" and 14 more, which a person or a script could take for signed.") == NULL)
		fail_msg("%s", d->message);
	verify_verdict_free(d);
	end(r);
}

/* ---- what only a digest is signed of ---- */

static void canonical_of(const char *json, struct buf *text, char hex[65])
{
	struct json *j = NULL;
	struct crypto *c = NULL;
	struct why w = {.text = ""};
	uint8_t digest[SHA256_SIZE];
	assert_int_equal(crypto_new(&c, &w), ERR_OK);
	assert_int_equal(json_parse(&j, bytes_str(json), &w), ERR_OK);
	assert_int_equal(json_canon_all(json_root(j), text, &w), ERR_OK);
	assert_int_equal(crypto_sha256(c, buf_bytes(text), digest, &w), ERR_OK);
	hex_encode(bytes_of(digest, sizeof digest), hex);
	hex[64] = '\0';
	json_free(j);
	crypto_free(c);
}

static struct reply *with_custom(const char *json)
{
	struct buf text = BUF_INIT(TEXT_MAX), quoted = BUF_INIT(TEXT_MAX);
	char claims[512], hex[65];
	canonical_of(json, &text, hex);
	(void)snprintf(claims, sizeof claims, "%s,\"custom_digest\":\"%s\",\"custom_digest_method\":\"sha256\"}",
		       CLAIMS("attestation"), hex);
	struct reply *r = rest(claims, NULL);
	set_text(&r->top, "custom_digest", bytes_str(hex));
	set(&r->top, "custom_digest_method", "\"sha256\"");
	set(&r->top, "custom_data", json);
	json_put_string(&quoted, buf_bytes(&text));
	set(&r->top, "custom_data_canonical", buf_cstr(&quoted));
	buf_free(&text);
	buf_free(&quoted);
	return r;
}

static void custom_data_must_have_the_signed_digest(void **s)
{
	struct reply *r = with_custom("{\"b\":[1.0,\"\\u00fc\",null],\"a\":{}}");
	(void)s;
	accepted(r, NULL, NULL);
	lie_as(r, &r->top, "custom_data", "{\"b\":[1,\"\\u00fc\",null],\"a\":{}}", VERIFY_CUSTOM_DATA_MISMATCH,
	       "custom_data");
	lie_as(r, &r->top, "custom_data", "null", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data");
	lie_as(r, &r->top, "custom_data_canonical", "\"{}\"", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	lie_as(r, &r->top, "custom_data_canonical", "\"\"", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	lie_as(r, &r->top, "custom_data_canonical", "null", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	lie_as(r, &r->top, "custom_data_canonical", "{}", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	char *longer = changed(*slot(&r->top, "custom_data_canonical"), "null]}", "null]} ");
	lie_as(r, &r->top, "custom_data_canonical", longer, VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	free(longer);
	lie(r, "custom_digest", "\"" HASH_A "\"");
	lie(r, "custom_digest_method", "\"sha512\"");
	set(&r->top, "custom_data", " { \"a\" : {}, \"b\" : [1e0, \"\xc3\xbc\", null] } ");
	accepted(r, NULL, NULL);
	end(r);
}

static void the_canonical_text_alone_is_enough(void **s)
{
	struct reply *r = with_custom("[1,2]");
	(void)s;
	set(&r->top, "custom_data", NULL);
	accepted(r, NULL, NULL);
	lie_as(r, &r->top, "custom_data_canonical", "\"[1,2]\"", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	lie_as(r, &r->top, "custom_data_canonical", "[1,2]", VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	set(&r->top, "custom_data_canonical", NULL);
	accepted(r, "digest of custom data that the reply does not hold", NULL);
	end(r);
}

static void custom_data_of_megabytes_is_streamed(void **s)
{
	struct buf b = BUF_INIT(TEXT_MAX);
	(void)s;
	buf_put_u8(&b, '[');
	for (int i = 0; i < 300000; i++)
		buf_printf(&b, "%d,\"\\u00e4\",", i);
	buf_put_str(&b, "{}]");
	struct reply *r = with_custom(buf_cstr(&b));
	assert_true(b.n > 4 << 20);
	accepted(r, NULL, NULL);
	char *other = changed(buf_cstr(&b), "299999", "299998");
	lie_as(r, &r->top, "custom_data", other, VERIFY_CUSTOM_DATA_MISMATCH, "custom_data");
	free(other);
	other = changed(*slot(&r->top, "custom_data_canonical"), "299999", "299998");
	lie_as(r, &r->top, "custom_data_canonical", other, VERIFY_CUSTOM_DATA_MISMATCH, "custom_data_canonical");
	free(other);
	end(r);
	buf_free(&b);
}

static void metadata_must_have_the_signed_digest(void **s)
{
	struct buf text = BUF_INIT(4096);
	char claims[512], hex[65];
	(void)s;
	canonical_of("{\"owner\":\"me\",\"tags\":[1,2]}", &text, hex);
	(void)snprintf(claims, sizeof claims, "%s,\"metadata_digest\":\"%s\"}", CLAIMS("attestation"), hex);
	struct reply *r = rest(claims, NULL);
	accepted(r, "digest of agent metadata that the reply does not hold", NULL);
	set(&r->top, "metadata", "{\"tags\":[1,2],\"owner\":\"me\"}");
	accepted(r, NULL, NULL);
	lie_as(r, &r->top, "metadata", "{\"tags\":[1,2],\"owner\":\"you\"}", VERIFY_METADATA_MISMATCH, "metadata");
	lie_as(r, &r->top, "metadata", "null", VERIFY_METADATA_MISMATCH, "metadata");
	end(r);
	buf_free(&text);
}

static void an_earlier_failure_is_the_one_that_is_named(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	set(&r->top, "pcr2", "\"\"");
	(void)snprintf(r->f.policy.purpose, sizeof r->f.policy.purpose, "info");
	struct verify_verdict *d = judge(r);
	assert_int_equal(d->code, VERIFY_PURPOSE_MISMATCH);
	assert_int_equal(d->results[CHECK_REPLY], CHECK_FAIL);
	verify_verdict_free(d);
	end(r);
}

static void without_a_signature_nothing_is_compared(void **s)
{
	struct reply *r = rest(CLAIMS("attestation") "}", NULL);
	(void)s;
	r->f.policy.own_root = false;
	struct verify_verdict *d = judge(r);
	assert_false(d->good);
	assert_int_equal(d->code, VERIFY_CHAIN_UNTRUSTED);
	assert_int_equal(d->results[CHECK_REPLY], CHECK_NOT_REACHED);
	verify_verdict_free(d);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_that_say_what_is_signed_are_accepted),
		cmocka_unit_test(every_member_that_shows_the_document_must_be_true),
		cmocka_unit_test(one_pcr_more_or_less_or_otherwise_is_a_lie),
		cmocka_unit_test(one_certificate_more_or_less_or_otherwise_is_a_lie),
		cmocka_unit_test(every_member_of_a_reply_that_repeats_a_signed_value_must_be_true),
		cmocka_unit_test(what_is_left_out_or_null_where_nothing_is_signed_is_no_lie),
		cmocka_unit_test(members_may_stand_in_another_order_and_notation),
		cmocka_unit_test(a_key_exchange_says_whose_keys_it_is_about),
		cmocka_unit_test(a_key_exchange_says_whose_conversation_it_is_for),
		cmocka_unit_test(a_certificate_must_be_the_attested_one_in_the_one_spelling_of_it),
		cmocka_unit_test(a_quote_must_be_the_document_itself),
		cmocka_unit_test(each_kind_of_reply_has_its_purpose),
		cmocka_unit_test(any_one_of_its_members_tells_a_kind_of_reply),
		cmocka_unit_test(a_reply_of_two_kinds_is_none),
		cmocka_unit_test(a_vsock_reply_repeats_the_texts_that_were_sent),
		cmocka_unit_test(a_reply_dressed_up_as_another_kind_cannot_say_more),
		cmocka_unit_test(a_vsock_reply_tells_the_server_s_clock),
		cmocka_unit_test(a_key_id_is_the_hash_of_the_signed_public_key),
		cmocka_unit_test(a_generated_key_is_kept_for_at_most_a_day),
		cmocka_unit_test(a_vsock_reply_says_what_it_thinks_of_its_document_in_no_other_form),
		cmocka_unit_test(nothing_signed_is_not_the_empty_text),
		cmocka_unit_test(a_member_that_the_server_does_not_send_is_a_lie),
		cmocka_unit_test(a_name_is_shown_in_ascii_and_no_other_looks_like_it),
		cmocka_unit_test(what_is_not_signed_is_named),
		cmocka_unit_test(what_is_not_signed_has_the_form_that_the_server_gives_it),
		cmocka_unit_test(what_is_told_in_words_has_an_end),
		cmocka_unit_test(a_session_may_live_as_long_as_the_server_lets_it),
		cmocka_unit_test(every_lie_is_named),
		cmocka_unit_test(custom_data_must_have_the_signed_digest),
		cmocka_unit_test(the_canonical_text_alone_is_enough),
		cmocka_unit_test(custom_data_of_megabytes_is_streamed),
		cmocka_unit_test(metadata_must_have_the_signed_digest),
		cmocka_unit_test(an_earlier_failure_is_the_one_that_is_named),
		cmocka_unit_test(without_a_signature_nothing_is_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
