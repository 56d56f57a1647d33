/* Whole replies, judged under the simulator's root. The first byte chooses one of the simulator's documents; in the
 * rest $D stands for it in base64, $Z for its size, $S for the object that shows it, $P for its PCR2, $N for its nonce,
 * $U for its claims, $C for the digest of custom data, $H for the hash of its public key, $T for its time, $K for a
 * wrapped key, $X for the PEM of a certificate (JSON) and $Y for that certificate's hash, so that what is signed stays
 * intact while everything around it changes.
 */
#include "../unit/reply_fixture.h"
#include "attest/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DOCUMENTS = 6, WITH_KEY = 4, TEXT_MAX = 1 << 20 };

#define CLAIMS(p) "{\"purpose\":\"" p "\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"A\",\"guardrail\":\"G\""
/* of {"key": "value"} */
#define DIGEST	  "9724c1e20e6e3e4d7f57ed25f9d4efb006e508590d528c90da597f6a775c13e5"
/* What stands for a certificate in DER, and its SHA-256. */
#define CERT	  "Sixty bytes that stand for a certificate in its DER form: ok"
#define CERT_HASH "fee69240d9eb414e9a8945ffc4ba1c32eb797eea34fd02b5ea12fc0facb6c293"

static const char *const user_data[DOCUMENTS] = {
	CLAIMS("attestation") ",\"custom_digest\":\"" DIGEST "\",\"custom_digest_method\":\"sha256\","
			      "\"metadata_digest\":\"" DIGEST "\"}",
	CLAIMS("key-exchange") ",\"session_id\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"session_key_hash\":"
			       "\"" DIGEST "\",\"user_key_hash\":\"" DIGEST "\",\"key_exchange_version\":\"1.1\"}",
	CLAIMS("info") ",\"info_digest\":\"" DIGEST "\",\"info_digest_method\":\"sha256\"}",
	"hello-from-enclave",
	"with a key",
	CLAIMS("tls") ",\"tls_cert_hash\":\"" CERT_HASH "\",\"tls_spki_hash\":\"" DIGEST
		      "\",\"key_origin\":\"memory\"}",
};

static struct reply_fixture f;
static struct reply_document documents[DOCUMENTS];
static struct buf shown[DOCUMENTS];

static void show(void *ctx, const char *name, const struct buf *value)
{
	json_put_key(ctx, name);
	buf_put_bytes(ctx, buf_bytes(value));
}

static void prepare(void)
{
	reply_fixture_open(&f);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		const struct nsm_attestation a = {.user_data = bytes_str(user_data[i]),
						  .nonce = BYTES_LIT("nonce"),
						  .public_key = bytes_of("key", i == WITH_KEY ? 3 : 0)};
		reply_document_make(&f, &a, &documents[i]);
		shown[i] = BUF_INIT(TEXT_MAX);
		buf_put_u8(&shown[i], '{');
		reply_document_show(&documents[i], show, &shown[i]);
		buf_put_u8(&shown[i], '}');
	}
}

static void key_id(const struct attest_view *v, char out[HEX_SIZE(SHA256_SIZE)])
{
	uint8_t digest[SHA256_SIZE];
	REPLY_OK(crypto_sha256(f.crypto, v->public_key, digest, &f.w));
	hex_encode(bytes_of(digest, sizeof digest), out);
}

static void put_certificate(struct buf *out)
{
	struct buf pem = BUF_INIT(4096);
	cert_pem_put(BYTES_LIT(CERT), &pem);
	json_put_string(out, buf_bytes(&pem));
	buf_free(&pem);
}

static void expand(struct bytes text, size_t which, struct buf *out)
{
	const struct attest_view *v = &documents[which].view;
	char id[HEX_SIZE(SHA256_SIZE)];
	key_id(v, id);
	for (size_t i = 0; i < text.n; i++) {
		const int c = text.p[i] == '$' && i + 1 < text.n ? text.p[i + 1] : 0;
		i += c != 0;
		if (c == 'D')
			buf_put_base64(out, buf_bytes(&documents[which].cose));
		else if (c == 'S')
			buf_put_bytes(out, buf_bytes(&shown[which]));
		else if (c == 'P')
			buf_put_hex(out, v->pcr[2]);
		else if (c == 'N')
			buf_put_hex(out, v->nonce);
		else if (c == 'U')
			buf_put_bytes(out, v->user_data);
		else if (c == 'Z')
			json_put_int(out, (int64_t)documents[which].cose.n);
		else if (c == 'T')
			json_put_int(out, v->timestamp_ms);
		else if (c == 'K')
			buf_put_base64(out, bytes_of((const uint8_t[RSA_BITS_MIN / 8]){0}, RSA_BITS_MIN / 8));
		else if (c == 'H')
			buf_put(out, id, sizeof id);
		else if (c == 'X')
			put_certificate(out);
		else if (c == 'Y')
			buf_put_str(out, CERT_HASH);
		else if (c == 'C')
			buf_put_str(out, DIGEST);
		else
			buf_put_u8(out, text.p[i]);
	}
}

static void check(bool good)
{
	if (!good)
		abort();
}

/* Every member of an accepted reply is one that the server sends in that place, said here once more. */
static void check_names(const struct json_value *object, const char *const names[])
{
	struct bytes name;
	const struct json_value *v = NULL;
	while (json_next(object, &name, &v)) {
		size_t i = 0;
		while (names[i] != NULL && !bytes_is(name, names[i]))
			i++;
		check(names[i] != NULL);
	}
}

static void check_members(const struct json_value *reply)
{
	static const char *const shown_names[] = {"module_id",	 "timestamp", "digest",	    "pcrs",
						  "certificate", "cabundle",  "public_key", "user_data",
						  "nonce",	 "document",  "_warning",   NULL};
	static const char *const vsock[] = {
		"attestation_document",	  "success",   "user_data",    "nonce",	   "has_public_key",
		"document_size",	  "timestamp", "tee_verified", "_warning", "key_id",
		"key_expires_in_seconds", NULL};
	static const char *const rest[] = {"attestation_document",
					   "pcr2",
					   "user_data",
					   "timestamp",
					   "nonce_hex",
					   "nonce_encoding",
					   "tee_verified",
					   "_warning",
					   "metadata",
					   "verification_instructions",
					   "custom_digest",
					   "custom_digest_method",
					   "custom_data",
					   "custom_data_canonical",
					   "quote",
					   "eventLog",
					   "session_id",
					   "encrypted_session_key",
					   "session_key_hash",
					   "user_key_hash",
					   "scope_hash",
					   "expires_in_minutes",
					   "certificate",
					   "tls_cert_hash",
					   "tls_spki_hash",
					   "key_origin",
					   NULL};
	const struct json_value *d = json_get(reply, "attestation_document");
	if (d == NULL) {
		check_names(reply, shown_names);
	} else if (json_type(d) == JSON_STRING) {
		check_names(reply, vsock);
	} else {
		check_names(reply, rest);
		check_names(d, shown_names);
		const bool info = json_get(reply, "quote") != NULL || json_get(reply, "eventLog") != NULL;
		const bool exchange = json_get(reply, "encrypted_session_key") != NULL ||
				      json_get(reply, "expires_in_minutes") != NULL;
		const bool tls = json_get(reply, "certificate") != NULL || json_get(reply, "tls_cert_hash") != NULL;
		check(info + exchange + tls <= 1);
	}
}

/* What an accepted reply says must be so, whatever its form. */
static void check_accepted(struct bytes text, const struct verify_verdict *d)
{
	struct json *j = NULL;
	struct buf canon = BUF_INIT(8 * TEXT_MAX);
	uint8_t digest[SHA256_SIZE];
	char hex[HEX_SIZE(NSM_PCR_SIZE)];
	if (json_parse(&j, text, &f.w) != ERR_OK)
		return; /* raw, hex or base64 */
	const struct json_value *reply = json_root(j), *v = json_get(reply, "pcr2");
	check_members(reply);
	hex_encode(d->view.pcr[2], hex);
	check(v == NULL || bytes_equal(json_string(v), bytes_of(hex, sizeof hex)));
	v = json_get(reply, "custom_data");
	if (v != NULL && json_type(v) != JSON_NULL) {
		REPLY_OK(json_canon_all(v, &canon, &f.w));
		REPLY_OK(crypto_sha256(f.crypto, buf_bytes(&canon), digest, &f.w));
		hex_encode(bytes_of(digest, SHA256_SIZE), hex);
		check(bytes_equal(bytes_of(hex, HEX_SIZE(SHA256_SIZE)), bytes_str(DIGEST)));
	}
	v = json_get(reply, "key_id");
	if (v != NULL) {
		key_id(&d->view, hex);
		check(d->view.public_key.n > 0 && bytes_equal(json_string(v), bytes_of(hex, HEX_SIZE(SHA256_SIZE))));
	}
	v = json_get(reply, "attestation_document");
	v = v != NULL && json_type(v) == JSON_OBJECT ? json_get(reply, "certificate") : NULL;
	if (v != NULL) {
		struct buf pem = BUF_INIT(4096);
		cert_pem_put(BYTES_LIT(CERT), &pem);
		check(bytes_equal(json_string(v), buf_bytes(&pem)) && strcmp(d->purpose, "tls") == 0);
		buf_free(&pem);
	}
	v = json_get(reply, "session_id");
	check(v == NULL || strcmp(d->purpose, "key-exchange") == 0);
	buf_free(&canon);
	json_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (f.verify == NULL)
		prepare();
	if (size == 0)
		return 0;
	struct buf text = BUF_INIT(TEXT_MAX), json = BUF_INIT(4 * TEXT_MAX), told = BUF_INIT(4 * TEXT_MAX);
	struct verify_verdict *d = NULL;
	struct json *j = NULL;
	expand(bytes_of(data + 1, size - 1), (uint8_t)(data[0] - '0') % DOCUMENTS, &text);
	if (!text.failed) {
		REPLY_OK(verify_input(f.verify, buf_bytes(&text), VERIFY_AUTO, &f.policy, &d, &f.w));
		check(verify_verdict_good(d) == (verify_verdict_code(d) == VERIFY_VERIFIED));
		if (verify_verdict_good(d))
			check_accepted(buf_bytes(&text), d);
		verify_verdict_json(d, &json);
		REPLY_OK(json_parse(&j, buf_bytes(&json), &f.w));
		verify_verdict_text(d, false, &told);
		REPLY_OK(buf_check(&told, &f.w));
		for (size_t i = 0; i < told.n; i++)
			check((told.p[i] >= ' ' && told.p[i] != 0x7f) || told.p[i] == '\n' || told.p[i] == '\t');
	}
	json_free(j);
	verify_verdict_free(d);
	buf_free(&text);
	buf_free(&json);
	buf_free(&told);
	return 0;
}
