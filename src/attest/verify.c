/* verify.c - the verifier: what was given, the document in it, and what it says, each judged in turn. */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err verify_new(struct verify **out, struct crypto *crypto, const struct clock *clock, struct why *w)
{
	struct verify *v = calloc(1, sizeof *v);
	if (v == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the verifier");
	v->crypto = crypto;
	v->clock = clock;
	enum err e = chain_cache_new(&v->chains, crypto, w);
	if (e != ERR_OK) {
		free(v);
		return e;
	}
	*out = v;
	return ERR_OK;
}

void verify_free(struct verify *v)
{
	if (v == NULL)
		return;
	chain_cache_free(v->chains);
	free(v);
}

bool verify_format_parse(struct bytes name, enum verify_format *out)
{
	static const char *const names[] = {[VERIFY_AUTO] = "auto",
					    [VERIFY_RAW] = "raw",
					    [VERIFY_BASE64] = "base64",
					    [VERIFY_HEX] = "hex",
					    [VERIFY_REPLY] = "reply"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (bytes_is(name, names[i])) {
			*out = (enum verify_format)i;
			return true;
		}
	}
	return false;
}

/* Where a reply of that purpose comes from. */
static const char *route(const char *purpose)
{
	return strcmp(purpose, "key-exchange") == 0 ? "POST /key-exchange"
	       : strcmp(purpose, "info") == 0	    ? "GET /attestation"
						    : "POST /attestation";
}

/* A reply of a kind says by its members what it is for; the policy may say it too. */
static enum err judge_purpose(const struct verify_policy *p, const struct json_value *reply, struct verify_verdict *d,
			      struct why *w)
{
	const char *of_reply = reply != NULL ? verify_reply_purpose(reply) : "";
	const char *wanted = p->purpose[0] != '\0' ? p->purpose : of_reply;
	d->purpose_as = p->purpose[0] != '\0' ? "you required" : "this kind of reply must have";
	if (of_reply[0] != '\0' && strcmp(wanted, of_reply) != 0)
		verdict_fail(d, CHECK_PURPOSE, VERIFY_PURPOSE_MISMATCH, "user_data.purpose",
			     "This is the reply to %s, and one made for %s is wanted.", route(of_reply), wanted);
	return verify_claims(wanted, d, w);
}

/* What the document says counts only once it is known who said it. */
static enum err judge(struct verify *v, const struct json_value *reply, const struct verify_policy *p,
		      struct verify_verdict *d, struct why *w)
{
	enum err e = verify_document(v, p, d, w);
	if (e != ERR_OK || !d->signed_facts)
		return e;
	e = judge_purpose(p, reply, d, w);
	if (e != ERR_OK)
		return e;
	if (reply != NULL)
		return verify_mirrors(v, reply, d, w);
	verdict_not_asked(d, CHECK_REPLY, "The input is the document alone, without a reply around it.");
	return ERR_OK;
}

static const char *which(const struct verify_verdict *d)
{
	switch (d->identity) {
	case VERIFY_COMPARED:
		return ", and it is the one that was wanted";
	case VERIFY_WEAK:
		return ", but what was compared does not tell which one";
	default:
		return ", but which one was not compared";
	}
}

/* Good is what passed every check, not merely what failed none. */
enum err verdict_conclude(struct verify_verdict *d, struct why *w)
{
	static const enum verify_check always[] = {CHECK_INPUT,	   CHECK_DOCUMENT,  CHECK_CHAIN,     CHECK_SIGNATURE,
						   CHECK_VALIDITY, CHECK_TIMESTAMP, CHECK_DEBUG_MODE};
	if (d->warnings_lost)
		return why_set(w, ERR_INTERNAL, "the verifier warned of more than %d things", VERIFY_WARNINGS_MAX);
	if (d->code != VERIFY_VERIFIED)
		return ERR_OK;
	bool good = d->signed_facts;
	for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
		good = good && d->results[always[i]] == CHECK_PASS;
	for (int c = 0; c < CHECK_COUNT; c++)
		good = good && (d->results[c] == CHECK_PASS || d->results[c] == CHECK_NOT_ASKED);
	if (!good)
		return why_set(w, ERR_INTERNAL, "a check of the verifier had no result");
	d->good = true;
	(void)snprintf(d->message, sizeof d->message, "The document comes from %s Nitro enclave%s%s%s.",
		       d->aws_root ? "a genuine" : "what calls itself a", d->debug ? " in debug mode" : "",
		       d->aws_root ? "" : ", under a root that is not AWS's", which(d));
	return ERR_OK;
}

static enum err new_verdict(struct verify_verdict **out, struct why *w)
{
	struct verify_verdict *d = calloc(1, sizeof *d);
	if (d == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a verdict");
	d->document = BUF_INIT(VERIFY_DOCUMENT_MAX);
	*out = d;
	return ERR_OK;
}

static enum err finish(enum err e, struct verify_verdict *d, struct verify_verdict **out, struct why *w)
{
	if (e == ERR_OK)
		e = verdict_conclude(d, w);
	if (e == ERR_OK)
		*out = d;
	else
		verify_verdict_free(d);
	return e;
}

enum err verify_input(struct verify *v, struct bytes input, enum verify_format format, const struct verify_policy *p,
		      struct verify_verdict **out, struct why *w)
{
	struct verify_verdict *d = NULL;
	struct json *reply = NULL;
	enum err e = new_verdict(&d, w);
	if (e != ERR_OK)
		return e;
	e = verify_read_input(input, format, d, &reply, w);
	if (e == ERR_OK && d->results[CHECK_INPUT] == CHECK_PASS)
		e = judge(v, reply != NULL ? json_root(reply) : NULL, p, d, w);
	json_free(reply);
	return finish(e, d, out, w);
}

enum err verify_reply(struct verify *v, const struct json_value *reply, const struct verify_policy *p,
		      struct verify_verdict **out, struct why *w)
{
	struct verify_verdict *d = NULL;
	enum err e = new_verdict(&d, w);
	if (e != ERR_OK)
		return e;
	e = verify_read_reply(reply, d, w);
	if (e == ERR_OK && d->results[CHECK_INPUT] == CHECK_PASS)
		e = judge(v, reply, p, d, w);
	return finish(e, d, out, w);
}
