/* The first byte chooses what is asked of the NSM, the rest is its reply; 5 reads the rest as a document, and 6 reads
 * it as the payload of a document that is otherwise whole, which a fuzzer would hardly put together; 7 asks the dummy;
 * 8 extends a PCR and 9 locks one.
 */
#include <stdlib.h>
#include <string.h>

#include "attest/internal.h"
#include "cborio.h"
#include "nsm/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err give_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	(void)env;
	(void)w;
	/* address is none, but how the reply gets here */
	memcpy(state, &address, sizeof(address));
	return ERR_OK;
}

static enum err give_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	struct bytes *given = state;
	(void)request;
	buf_put_bytes(reply, *given);
	*given = bytes_of(NULL, 0); /* an NSM that repeated one byte for ever would only cost time */
	return buf_check(reply, w);
}

static void give_close(void *state)
{
	(void)state;
}

static const struct nsm_ops give = {"fuzz", give_open, give_call, give_close};

static void must(bool good)
{
	if (!good)
		abort();
}

static bool inside(struct bytes part, struct bytes whole)
{
	return part.p == NULL || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void view(struct bytes cose)
{
	struct attest_view v;
	enum verify_code fault = VERIFY_VERIFIED;
	struct why w;
	if (attest_view_parse(cose, &v, &fault, &w) != ERR_OK) {
		must(w.err == ERR_MALFORMED && fault != VERIFY_VERIFIED);
		return;
	}
	must(inside(v.module_id, cose) && inside(v.certificate, cose) && inside(v.public_key, cose));
	must(inside(v.user_data, cose) && inside(v.nonce, cose) && v.timestamp_ms > 0);
	must(v.n_cabundle >= 1 && v.n_cabundle <= CERT_BUNDLE_MAX);
	for (size_t i = 0; i < v.n_cabundle; i++)
		must(inside(v.cabundle[i], cose) && v.cabundle[i].n > 0);
	for (size_t i = 0; i < NSM_PCRS_MAX; i++)
		must(inside(v.pcr[i], cose) && (v.pcr[i].p == NULL || v.pcr[i].n == NSM_PCR_SIZE));
}

static void view_payload(struct bytes payload)
{
	static const uint8_t signature[96];
	struct buf b = BUF_INIT(payload.n + 256);
	cborio_put_array(&b, 4);
	cborio_put_bytes(&b, BYTES_LIT("\xa1\x01\x38\x22"));
	cborio_put_map(&b, 0);
	cborio_put_bytes(&b, payload);
	cborio_put_bytes(&b, bytes_of(signature, sizeof(signature)));
	view(buf_bytes(&b));
	buf_free(&b);
}

static void describe(struct nsm *n)
{
	struct nsm_description d;
	struct why w;
	if (nsm_describe(n, &d, &w) == ERR_OK)
		must(d.module_id[0] != '\0' && d.max_pcrs <= NSM_PCRS_MAX);
}

static void ask(unsigned what, struct bytes reply)
{
	struct nsm *n = NULL;
	struct buf out = BUF_INIT(NSM_REPLY_MAX);
	const struct nsm_attestation a = {.nonce = BYTES_LIT("nonce")};
	uint8_t random[300];
	struct why w = {.err = ERR_OK};
	bool locked;
	const struct bytes given = reply;
	must(nsm_open_ops(&n, &give, NULL, (const char *)&reply, &w) == ERR_OK);
	if (what == 0)
		describe(n);
	else if (what == 1 && nsm_pcr(n, 0, &out, &locked, &w) == ERR_OK)
		must(out.n == NSM_PCR_SIZE);
	else if (what == 2)
		must(nsm_random(n, random, sizeof(random), &w) != ERR_OK);
	else if (what == 3 && nsm_random(n, random, 1, &w) == ERR_OK)
		must(reply.p == NULL);
	else if (what == 4 && nsm_attest(n, &a, &out, &w) == ERR_OK)
		view(buf_bytes(&out));
	else if (what == 8 && nsm_extend(n, 16, BYTES_LIT("data"), &out, &w) == ERR_OK)
		must(out.n == NSM_PCR_SIZE);
	else if (what == 9 && nsm_lock(n, 16, &w) == ERR_OK)
		must(bytes_is(given, "\x67LockPCR"));
	nsm_close(n);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > NSM_REPLY_MAX)
		return 0;
	struct bytes rest = {data + 1, size - 1};
	unsigned what = data[0] % 10;
	if (what == 5)
		view(rest);
	else if (what == 6)
		view_payload(rest);
	else if (what == 7) {
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		struct why w;
		must(nsm_dummy.call(NULL, rest, &reply, &w) == ERR_OK);
		buf_free(&reply);
	} else {
		ask(what, rest);
	}
	return 0;
}
