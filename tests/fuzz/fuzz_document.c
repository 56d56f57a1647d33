/* fuzz_document.c - any bytes as a document, judged at its own time under the root that it brings along. One that can
 * be read is then signed anew under a chain of our own, which a fuzzer could not do: so its fields get past the
 * signature.
 */
#include <stdlib.h>
#include <string.h>

#include "attest/verdict.h"
#include "cborio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FROM_S = 0, TO_S = 2000000000 };

struct world {
	struct crypto *crypto;
	struct clock clock;
	struct verify *verify;
	struct cert_key *key;
	struct buf root, leaf;
};

static void must(bool good)
{
	if (!good)
		abort();
}

static int64_t never(void *ctx)
{
	(void)ctx;
	abort();
}

static struct world *world_new(void)
{
	static struct world t;
	static const struct cert_attribute root = {"CN", "root"}, leaf = {"CN", "leaf"};
	struct cert_spec spec = {.subject = &root,
				 .n_subject = 1,
				 .serial = BYTES_LIT("\x01"),
				 .not_before_s = FROM_S,
				 .not_after_s = TO_S,
				 .path_length = CERT_NO_PATH_LENGTH,
				 .usage = CERT_CERT_SIGN,
				 .usage_critical = true};
	struct cert_key *ca = NULL;
	struct why w;
	t.clock = (struct clock){NULL, never, never, never};
	t.root = t.leaf = BUF_INIT(CERT_DER_MAX);
	must(crypto_new(&t.crypto, &w) == ERR_OK && verify_new(&t.verify, t.crypto, &t.clock, &w) == ERR_OK);
	must(cert_key_new(t.crypto, &ca, &w) == ERR_OK && cert_key_new(t.crypto, &t.key, &w) == ERR_OK);
	must(cert_make(t.crypto, &spec, ca, bytes_of(NULL, 0), NULL, &t.root, &w) == ERR_OK);
	spec.subject = &leaf;
	spec.path_length = CERT_NO_CA;
	spec.usage = CERT_DIGITAL_SIGNATURE;
	must(cert_make(t.crypto, &spec, t.key, buf_bytes(&t.root), ca, &t.leaf, &w) == ERR_OK);
	cert_key_free(ca);
	return &t;
}

/* A verdict is whole whatever it says, and good only if every check has passed that was asked for. */
static bool judge(const struct world *t, struct bytes document, struct bytes root, bool *facts)
{
	struct verify_policy p;
	struct verify_verdict *d = NULL;
	struct buf out = BUF_INIT(1 << 20);
	struct json *j = NULL;
	struct why w;
	verify_policy_init(&p);
	p.at = VERIFY_AT_DOCUMENT;
	must(verify_policy_root_der(&p, root, &w) == ERR_OK);
	must(verify_input(t->verify, document, VERIFY_RAW, &p, &d, &w) == ERR_OK);
	const bool good = verify_verdict_good(d);
	must(good == (verify_verdict_code(d) == VERIFY_VERIFIED) && verify_verdict_message(d)[0] != '\0');
	for (int c = 0; c < CHECK_COUNT; c++)
		must(!good || d->results[c] == CHECK_PASS || d->results[c] == CHECK_NOT_ASKED);
	*facts = d->signed_facts;
	verify_verdict_json(d, &out);
	must(buf_check(&out, &w) == ERR_OK && json_parse(&j, buf_bytes(&out), &w) == ERR_OK);
	must(json_type(json_get(json_root(j), "verified")) == (good ? JSON_TRUE : JSON_FALSE));
	json_free(j);
	buf_reset(&out);
	verify_verdict_text(d, true, &out);
	must(buf_check(&out, &w) == ERR_OK && out.n > 0);
	buf_free(&out);
	verify_verdict_free(d);
	return good;
}

static void put_field(struct buf *b, const char *name, struct bytes x)
{
	cborio_put_cstr(b, name);
	if (x.p == NULL)
		cborio_put_null(b);
	else
		cborio_put_bytes(b, x);
}

static void put_payload(const struct world *t, const struct attest_view *v, struct buf *b)
{
	unsigned n = 0;
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++)
		n += v->pcr[i].p != NULL;
	cborio_put_map(b, 9);
	cborio_put_cstr(b, "module_id");
	cborio_put_text(b, v->module_id);
	cborio_put_cstr(b, "digest");
	cborio_put_text(b, v->digest);
	cborio_put_cstr(b, "timestamp");
	cborio_put_uint(b, (uint64_t)v->timestamp_ms);
	cborio_put_cstr(b, "pcrs");
	cborio_put_map(b, n);
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (v->pcr[i].p == NULL)
			continue;
		cborio_put_uint(b, i);
		cborio_put_bytes(b, v->pcr[i]);
	}
	put_field(b, "certificate", buf_bytes(&t->leaf));
	cborio_put_cstr(b, "cabundle");
	cborio_put_array(b, 1);
	cborio_put_bytes(b, buf_bytes(&t->root));
	put_field(b, "public_key", v->public_key);
	put_field(b, "user_data", v->user_data);
	put_field(b, "nonce", v->nonce);
}

static void sign(const struct world *t, struct bytes payload, struct buf *document)
{
	const struct bytes header = BYTES_LIT("\xa1\x01\x38\x22");
	uint8_t signature[CERT_SIGNATURE_SIZE];
	struct buf b = BUF_INIT(2 * VERIFY_DOCUMENT_MAX);
	struct why w;
	cborio_put_array(&b, 4);
	cborio_put_cstr(&b, "Signature1");
	cborio_put_bytes(&b, header);
	cborio_put_bytes(&b, bytes_of(NULL, 0));
	cborio_put_bytes(&b, payload);
	must(cert_key_sign(t->crypto, t->key, buf_bytes(&b), signature, &w) == ERR_OK);
	cborio_put_array(document, 4);
	cborio_put_bytes(document, header);
	cborio_put_map(document, 0);
	cborio_put_bytes(document, payload);
	cborio_put_bytes(document, bytes_of(signature, sizeof signature));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct world *t;
	const struct bytes given = {data, size};
	struct attest_view v;
	enum verify_code fault;
	struct why w;
	bool facts;
	if (t == NULL)
		t = world_new();
	const bool read = attest_view_parse(given, &v, &fault, &w) == ERR_OK;
	const bool good = judge(t, given, read ? v.cabundle[0] : buf_bytes(&t->root), &facts);
	must(!good || (read && facts));
	if (!read || size > VERIFY_DOCUMENT_MAX)
		return 0;

	struct buf payload = BUF_INIT(2 * VERIFY_DOCUMENT_MAX), document = BUF_INIT(2 * VERIFY_DOCUMENT_MAX);
	put_payload(t, &v, &payload);
	sign(t, buf_bytes(&payload), &document);
	if (buf_bytes(&document).n <= VERIFY_DOCUMENT_MAX) {
		const bool holds = v.timestamp_ms / 1000 <= TO_S && !bytes_is_zero(v.pcr[0]) &&
				   !bytes_is_zero(v.pcr[1]) && !bytes_is_zero(v.pcr[2]);
		must(judge(t, buf_bytes(&document), buf_bytes(&t->root), &facts) == holds && facts);
	}
	buf_free(&payload);
	buf_free(&document);
	return 0;
}
