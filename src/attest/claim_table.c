/* claim_table.c - the claims: what they are called, whose they are, and which values they may have. */
#include "claim_table.h"

#include <string.h>
#include <time.h>

#include "base/encode.h"

static const char *const purposes[ATTEST_PURPOSES] = {[ATTEST_ATTESTATION] = "attestation",
						      [ATTEST_KEY_EXCHANGE] = "key-exchange",
						      [ATTEST_INFO] = "info",
						      [ATTEST_TLS] = "tls",
						      [ATTEST_PEER] = "peer"};

#define ATTESTATION  CLAIM_OF(ATTEST_ATTESTATION)
#define KEY_EXCHANGE CLAIM_OF(ATTEST_KEY_EXCHANGE)
#define INFO	     CLAIM_OF(ATTEST_INFO)
#define TLS	     CLAIM_OF(ATTEST_TLS)
#define PEER	     CLAIM_OF(ATTEST_PEER)

const struct claim claim_table[CLAIM_COUNT] = {
	{"purpose", CLAIM_COMMON, CLAIM_PURPOSE, true, NULL},
	{"timestamp", CLAIM_COMMON, CLAIM_TIMESTAMP, true, NULL},
	{"agent", CLAIM_COMMON, CLAIM_TEXT, true, NULL},
	{"guardrail", CLAIM_COMMON, CLAIM_TEXT, true, NULL},
	{"custom_digest", ATTESTATION, CLAIM_HASH, false, "custom_digest_method"},
	{"custom_digest_method", ATTESTATION, CLAIM_METHOD, false, "custom_digest"},
	{"session_id", KEY_EXCHANGE, CLAIM_SESSION_ID, true, NULL},
	{"session_key_hash", KEY_EXCHANGE, CLAIM_HASH, true, NULL},
	{"user_key_hash", KEY_EXCHANGE, CLAIM_HASH, true, NULL},
	{"key_exchange_version", KEY_EXCHANGE, CLAIM_VERSION, true, NULL},
	{"scope_hash", KEY_EXCHANGE, CLAIM_HASH, false, NULL},
	{"info_digest", INFO, CLAIM_HASH, true, NULL},
	{"info_digest_method", INFO, CLAIM_METHOD, true, NULL},
	{"tls_cert_hash", TLS, CLAIM_HASH, true, NULL},
	{"tls_spki_hash", TLS, CLAIM_HASH, true, NULL},
	{"key_origin", TLS, CLAIM_ORIGIN, false, NULL},
	{"role", PEER, CLAIM_ROLE, true, NULL},
	{"key_hash", PEER, CLAIM_HASH, true, NULL},
	{"peer_key_hash", PEER, CLAIM_HASH, true, NULL},
	{"config_digest", PEER, CLAIM_HASH, true, NULL},
	{"metadata_digest", CLAIM_COMMON, CLAIM_HASH, false, NULL},
};

static const struct {
	const char *text, *longest;
} forms[CLAIM_FORMS] = {
	[CLAIM_PURPOSE] = {"attestation, key-exchange, info, tls or peer", "key-exchange"},
	[CLAIM_TIMESTAMP] = {"a time such as 2026-01-30T12:00:00Z", "2026-01-30T12:00:00Z"},
	[CLAIM_TEXT] = {"text", ""},
	[CLAIM_HASH] = {"64 lower-case hex digits", "0000000000000000000000000000000000000000000000000000000000000000"},
	[CLAIM_SESSION_ID] = {"43 characters of base64url", "0000000000000000000000000000000000000000000"},
	[CLAIM_METHOD] = {"sha256", "sha256"},
	[CLAIM_VERSION] = {"1.1", "1.1"},
	[CLAIM_ROLE] = {"server or client", "server"},
	[CLAIM_ORIGIN] = {"memory or file", "memory"},
};

const char *attest_purpose_name(enum attest_purpose p)
{
	return purposes[p];
}

bool attest_purpose_parse(struct bytes name, enum attest_purpose *out)
{
	for (enum attest_purpose p = 0; p < ATTEST_PURPOSES; p++) {
		if (bytes_is(name, purposes[p])) {
			*out = p;
			return true;
		}
	}
	return false;
}

const struct claim *claim_find(struct bytes name)
{
	for (size_t i = 0; i < CLAIM_COUNT; i++)
		if (bytes_is(name, claim_table[i].name))
			return &claim_table[i];
	return NULL;
}

const char *claim_form_text(const struct claim *c)
{
	return forms[c->form].text;
}

const char *claim_longest(const struct claim *c)
{
	return forms[c->form].longest;
}

static bool of_characters(struct bytes value, size_t n, const char *set)
{
	if (value.n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (value.p[i] == '\0' || strchr(set, value.p[i]) == NULL)
			return false;
	return true;
}

/* strptime takes more than one spelling, and timegm takes 31 February: what is not printed back was not the form. */
static bool is_timestamp(struct bytes value)
{
	char text[CLOCK_TEXT_SIZE] = "", again[CLOCK_TEXT_SIZE];
	struct tm tm = {0};
	if (value.n != sizeof text - 1)
		return false;
	memcpy(text, value.p, value.n);
	if (strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL)
		return false;
	clock_text((int64_t)timegm(&tm) * 1000, again);
	return bytes_is(value, again);
}

bool claim_fits(const struct claim *c, struct bytes value)
{
	enum attest_purpose p;
	switch (c->form) {
	case CLAIM_PURPOSE:
		return attest_purpose_parse(value, &p);
	case CLAIM_TIMESTAMP:
		return is_timestamp(value);
	case CLAIM_HASH:
		return of_characters(value, HEX_SIZE(SHA256_SIZE), "0123456789abcdef");
	case CLAIM_SESSION_ID:
		return of_characters(value, BASE64URL_SIZE(32),
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
	case CLAIM_METHOD:
	case CLAIM_VERSION:
		return bytes_is(value, forms[c->form].longest);
	case CLAIM_ROLE:
		return bytes_is(value, "server") || bytes_is(value, "client");
	case CLAIM_ORIGIN:
		return bytes_is(value, "memory") || bytes_is(value, "file");
	case CLAIM_TEXT:
	case CLAIM_FORMS:
		break;
	}
	return true;
}
