/* explain.c - a verdict as an explanation to somebody who does not know COSE. */
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "base/encode.h"
#include "claim_table.h"
#include "page.h"

enum { CODE_SIZE = 320, CANONICAL_MAX = 8 * VERIFY_USER_DATA_MAX };

static const char green[] = "\033[1;32m", yellow[] = "\033[1;33m", red[] = "\033[1;31m", plain[] = "\033[0m";

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
	char code[CODE_SIZE];
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

static void put_time(const struct verify_verdict *d, struct buf *out)
{
	char made[CLOCK_TEXT_SIZE], at[CLOCK_TEXT_SIZE], from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE],
		span[VERDICT_SPAN_SIZE];
	verdict_time(d->view.timestamp_ms / 1000, made);
	verdict_time(d->at_s, at);
	verdict_span(d->age_s, span);
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
	page_item(out, "%s", d->details[CHECK_DEBUG_MODE]);
	put_time(d, out);
}

/* ---- what was compared, and what was not ---- */

static void put_compared(const struct verify_verdict *d, struct buf *out)
{
	page_heading(out, "What was compared");
	const size_t before = out->n;
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		if (d->results[c] == CHECK_PASS || d->results[c] == CHECK_FAIL)
			page_item(out, "%s%s", d->results[c] == CHECK_FAIL ? "FAILED: " : "", d->details[c]);
	if (out->n == before)
		page_item(out, "Nothing.");
}

/* The very bytes of claims are seldom known, and their purpose tells more of them than that any would have passed. */
static bool left_out(const struct verify_verdict *d, int c)
{
	return d->results[c] == CHECK_NOT_ASKED && (c != CHECK_USER_DATA || d->claims == NULL);
}

static void put_not_compared(const struct verify_verdict *d, struct buf *out)
{
	const bool weak = d->results[CHECK_PCRS] == CHECK_PASS && d->identity != VERIFY_COMPARED;
	bool all = !weak;
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		all = all && !left_out(d, c);
	if (all && !d->good)
		return;
	page_heading(out, "What was NOT compared");
	if (all)
		page_item(out,
			  "Nothing that can be compared was left out. Whether that code can be trusted is for you to "
			  "judge.");
	if (weak)
		page_item(out,
			  "Which code the enclave runs: the PCRs that were compared do not tell (see the warning).");
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		if (left_out(d, c))
			page_item(out, "%s", d->details[c]);
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
			page_field(out, name,
				   bytes_str(i == 8 && !d->debug ? "all zeros: the image is not signed" : "all zeros"));
		else
			page_hex(out, name, v);
	}
}

/* The canonical form is ASCII and holds no control character, whatever the claim says. */
static void put_claims(const struct json_value *claims, bool ours, struct buf *out)
{
	struct buf line = BUF_INIT(CANONICAL_MAX);
	struct bytes name;
	const struct json_value *v = NULL;
	struct why w = {0};
	bool told = false;
	while (json_next(claims, &name, &v)) {
		const struct claim *claim = claim_find(name);
		if ((claim != NULL) != ours)
			continue;
		if (!told)
			page_note(out, ours ? "The claims in its user data, made by the code that the PCRs name:"
					    : "Agent metadata, stated by the agent, not measured:");
		told = true;
		buf_reset(&line);
		out->failed |= json_canon_all(v, &line, &w) != ERR_OK;
		if (claim != NULL)
			page_field(out, claim->name, buf_bytes(&line));
		else
			page_stated(out, name, buf_bytes(&line));
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

void verify_verdict_findings(const struct verify_verdict *d, bool colour, struct buf *out)
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
}

void verify_verdict_text(const struct verify_verdict *d, bool colour, struct buf *out)
{
	verify_verdict_findings(d, colour, out);
	page_heading(out, "What to do next");
	advice_put(d, out);
}
