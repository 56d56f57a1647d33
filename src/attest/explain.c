/* explain.c - a verdict as an explanation to somebody who does not know COSE. */
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "base/encode.h"
#include "claim_table.h"
#include "page.h"

enum { SPAN_SIZE = 32, LIST_SIZE = 320, CANONICAL_MAX = 8 * VERIFY_USER_DATA_MAX };

static const char green[] = "\033[1;32m", yellow[] = "\033[1;33m", red[] = "\033[1;31m", plain[] = "\033[0m";

static void put_span(int64_t s, char out[SPAN_SIZE])
{
	const int64_t age = s >= 0 ? s : s == INT64_MIN ? INT64_MAX : -s;
	if (age < 300)
		(void)snprintf(out, SPAN_SIZE, "%lld s", (long long)age);
	else if (age < 3 * 3600)
		(void)snprintf(out, SPAN_SIZE, "%lld minutes", (long long)(age / 60));
	else if (age < 3 * 86400)
		(void)snprintf(out, SPAN_SIZE, "%lld hours", (long long)(age / 3600));
	else
		(void)snprintf(out, SPAN_SIZE, "%lld days", (long long)(age / 86400));
}

/* ---- the verdict ---- */

/* Green is for what needs no second thought. */
static const char *colour_of(const struct verify_verdict *d)
{
	if (!d->good)
		return red;
	return d->aws_root && !d->debug && !d->historic && d->identity == VERIFY_COMPARED ? green : yellow;
}

static void put_verdict(const struct verify_verdict *d, bool colour, struct buf *out)
{
	const char *word = d->good ? "VERIFIED" : "NOT VERIFIED";
	buf_put_str(out, colour ? colour_of(d) : "");
	buf_put_str(out, word);
	buf_put_str(out, colour ? plain : "");
	buf_put_str(out, ": ");
	page_text(out, strlen(word) + 2, d->message[0] != '\0' ? d->message : verify_code_text(d->code));
	if (d->good)
		return;
	char code[LIST_SIZE];
	(void)snprintf(code, sizeof code, "(%s%s%s: %s)", verify_code_name(d->code), d->field[0] != '\0' ? ", " : "",
		       d->field, verify_code_text(d->code));
	page_text(out, 0, code);
}

/* The first failure is the verdict itself; those behind it are worth knowing, too. */
static void put_failures(const struct verify_verdict *d, struct buf *out)
{
	size_t n = 0;
	for (size_t i = 0; i < CHECK_COUNT; i++)
		n += d->results[i] == CHECK_FAIL;
	if (n < 2)
		return;
	page_heading(out, "What failed");
	for (size_t i = 0; i < CHECK_COUNT; i++)
		if (d->results[i] == CHECK_FAIL)
			page_item(out, "%s", d->details[i]);
}

/* ---- what was proven ---- */

static void put_signer(const struct verify_verdict *d, struct buf *out)
{
	char root[HEX_SIZE(SHA256_SIZE) + 1] = "";
	hex_encode(bytes_of(d->root_sha256, SHA256_SIZE), root);
	if (d->aws_root)
		page_item(
			out,
			"AWS's Nitro hardware signed this document: its signature fits, and its certificates lead to AWS's "
			"Nitro Enclaves root (SHA-256 %s).",
			root);
	else
		page_item(
			out,
			"The holder of the root that you gave signed this document. That root is not AWS's (SHA-256 %s): "
			"nothing here was proven about AWS's hardware.",
			root);
}

static void put_mode(const struct verify_verdict *d, struct buf *out)
{
	if (d->debug)
		page_item(
			out,
			"The enclave runs in DEBUG mode (PCR0, PCR1 or PCR2 is all zeros): whoever runs it can read its "
			"console, and its PCRs do not tell what code it runs.");
	else
		page_item(out, "The enclave runs in production mode: PCR0, PCR1 and PCR2 tell what code it runs.");
}

static void put_time(const struct verify_verdict *d, struct buf *out)
{
	char made[CLOCK_TEXT_SIZE], at[CLOCK_TEXT_SIZE], from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE], span[SPAN_SIZE];
	verdict_time(d->view.timestamp_ms / 1000, made);
	verdict_time(d->at_s, at);
	put_span(d->age_s, span);
	if (d->historic)
		page_item(
			out,
			"It was made at %s by the NSM's clock, and judged as of %s, not as of now (historic): this says what "
			"held then, and nothing about now.",
			made, at);
	else
		page_item(out, "It was made at %s by the NSM's clock, %s %s.", made, span,
			  d->age_s < 0 ? "ahead of this machine's" : "ago");
	verdict_time(d->not_before_s, from);
	verdict_time(d->not_after_s, to);
	page_item(out, "All of its certificates are valid from %s to %s.", from, to);
}

static void put_proven(const struct verify_verdict *d, struct buf *out)
{
	page_heading(out, "What was proven");
	put_signer(d, out);
	put_mode(d, out);
	put_time(d, out);
}

/* ---- what was compared, and what was not ---- */

/* "PCR0, PCR1"; "" for none. */
static void list_compared(const struct verify_verdict *d, char out[LIST_SIZE])
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++)
		if ((d->compared >> i & 1) != 0)
			used += (size_t)snprintf(out + used, LIST_SIZE - used, "%sPCR%u", used > 0 ? ", " : "", i);
}

static void put_compared(const struct verify_verdict *d, struct buf *out)
{
	static const struct {
		enum verify_check check;
		const char *what, *pass;
	} compared[] = {
		{CHECK_PCRS, "The PCRs", NULL}, /* those that fit are named */
		{CHECK_NONCE, "The nonce", "the one that you gave, so the document was made for you."},
		{CHECK_USER_DATA, "The user data", "what you gave."},
		{CHECK_PURPOSE, "The purpose", "the one that was wanted."},
		{CHECK_REPLY, "The reply's own members", "they say what was signed."},
	};
	char pcrs[LIST_SIZE];
	list_compared(d, pcrs);
	page_heading(out, "What was compared");
	const size_t before = out->n;
	if (pcrs[0] != '\0')
		page_item(out, "%s: as pinned.", pcrs);
	for (size_t i = 0; i < sizeof compared / sizeof compared[0]; i++) {
		const enum check_result r = d->results[compared[i].check];
		if (r == CHECK_FAIL || (r == CHECK_PASS && compared[i].pass != NULL))
			page_item(out, "%s: %s", compared[i].what,
				  r == CHECK_FAIL ? "NOT as wanted." : compared[i].pass);
	}
	if (out->n == before)
		page_item(out, "Nothing.");
}

static void put_identity(const struct verify_verdict *d, struct buf *out)
{
	char pcrs[LIST_SIZE];
	list_compared(d, pcrs);
	if (d->identity == VERIFY_NOT_COMPARED)
		page_item(
			out,
			"Which enclave: %s, but which one was not compared. Whoever stands between you and the enclave that you "
			"want can run one of their own, and its documents pass as this one did.",
			d->aws_root ? "this is a genuine enclave" : "it is one under the root that you gave");
	else if (d->debug)
		page_item(out, "Which code: in debug mode PCR0, PCR1 and PCR2 are the same zeros for every image.");
	else
		page_item(
			out,
			"Which enclave, well enough: what was compared (%s) is weak. PCR2 alone is the same for every image "
			"without a second ramdisk; PCR3 and PCR4 tell where an enclave runs, not what. PCR0, or PCR1 and PCR2, "
			"or a PCR8 that is not zero tell images apart.",
			pcrs);
}

static void put_not_compared(const struct verify_verdict *d, struct buf *out)
{
	page_heading(out, "What was NOT compared");
	const size_t before = out->n;
	if (d->identity != VERIFY_COMPARED && d->results[CHECK_PCRS] != CHECK_FAIL)
		put_identity(d, out);
	if (d->results[CHECK_NONCE] == CHECK_NOT_ASKED)
		page_item(out,
			  "The nonce: none was required, so this may be a copy of a document made for somebody else.");
	if (d->results[CHECK_PURPOSE] == CHECK_NOT_ASKED && d->results[CHECK_USER_DATA] != CHECK_PASS)
		page_item(out, "The user data, and so what the document was made for.");
	if (out->n == before)
		page_item(out, "Nothing that can be compared. Whether that code can be trusted is for you to judge.");
}

/* ---- what was signed ---- */

static void put_pcrs(const struct verify_verdict *d, struct buf *out)
{
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		const struct bytes v = d->view.pcr[i];
		const bool zero = bytes_is_zero(v);
		char name[16];
		if (v.p == NULL || (zero && i > 2 && i != 8))
			continue;
		(void)snprintf(name, sizeof name, "PCR%u", i);
		if (zero)
			page_field(out, bytes_str(name),
				   bytes_str(i == 8 ? "all zeros: the image is not signed" : "all zeros"));
		else
			page_hex(out, name, v);
	}
}

/* The canonical form is ASCII and holds no control character, whatever the claim says. */
static void put_claims(const struct json_value *claims, bool ours, struct buf *out)
{
	struct buf line = BUF_INIT(CANONICAL_MAX);
	struct bytes name;
	const struct json_value *v;
	struct why w = {0};
	bool told = false;
	for (void *it = NULL; json_next(claims, &it, &name, &v);) {
		if ((claim_find(name) != NULL) != ours)
			continue;
		if (!told)
			page_note(out, ours ? "The claims in its user data, made by the code that the PCRs name:"
					    : "Agent metadata, stated by the agent, not measured:");
		told = true;
		buf_reset(&line);
		out->failed |= json_canon_all(v, &line, &w) != ERR_OK;
		page_field(out, name, buf_bytes(&line));
	}
	buf_free(&line);
}

static void put_signed(const struct verify_verdict *d, struct buf *out)
{
	page_heading(out, "What was signed");
	page_value(out, "module id", d->view.module_id);
	page_note(
		out,
		"PCR0 measures the whole image, PCR1 its kernel, PCR2 its application, PCR3 the parent's IAM role, PCR4 the "
		"parent instance, PCR8 who signed the image:");
	put_pcrs(d, out);
	page_value(out, "nonce", d->view.nonce);
	if (d->view.public_key.p != NULL)
		page_value(out, "public key", d->view.public_key);
	if (d->claims == NULL) {
		page_value(out, "user data", d->view.user_data);
		return;
	}
	put_claims(json_root(d->claims), true, out);
	put_claims(json_root(d->claims), false, out);
}

/* ---- all of it ---- */

void verify_verdict_text(const struct verify_verdict *d, bool colour, struct buf *out)
{
	put_verdict(d, colour, out);
	if (d->signed_facts) {
		put_failures(d, out);
		put_proven(d, out);
		put_compared(d, out);
		put_not_compared(d, out);
	}
	if (d->n_warnings > 0)
		page_heading(out, "Warnings");
	for (size_t i = 0; i < d->n_warnings; i++)
		page_item(out, "%s", d->warnings[i]);
	if (d->signed_facts) {
		put_signed(d, out);
	} else {
		page_heading(out, "What was proven");
		page_item(
			out,
			"Nothing: whatever the document says, nobody is known to have signed it. So none of it is shown.");
	}
	page_heading(out, "What to do next");
	advice_put(d, out);
}
