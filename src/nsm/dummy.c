/* dummy.c - development without an NSM. It knows PCRs that nobody can mistake for measured ones, and refuses whatever
 * could be relied on: it gives no randomness, so nothing is ever seeded from it, and it signs nothing.
 */
#include "nsm.h"

#include <string.h>

#include "cborio.h"

enum { DUMMY_PCRS = 16 };

static const uint8_t dummy_pcrs[] = {0, 1, 2, 3, 4, 8};

static enum err dummy_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	(void)env;
	(void)address;
	(void)w;
	*state = NULL;
	return ERR_OK;
}

static void dummy_close(void *state)
{
	(void)state;
}

static void put_error(struct buf *reply, const char *name)
{
	cborio_put_map(reply, 1);
	cborio_put_cstr(reply, "Error");
	cborio_put_cstr(reply, name);
}

static void describe_nsm(struct buf *reply)
{
	cborio_put_map(reply, 1);
	cborio_put_cstr(reply, "DescribeNSM");
	cborio_put_map(reply, 7);
	cborio_put_cstr(reply, "version_major");
	cborio_put_uint(reply, 1);
	cborio_put_cstr(reply, "version_minor");
	cborio_put_uint(reply, 0);
	cborio_put_cstr(reply, "version_patch");
	cborio_put_uint(reply, 0);
	cborio_put_cstr(reply, "module_id");
	cborio_put_cstr(reply, "dummy");
	cborio_put_cstr(reply, "max_pcrs");
	cborio_put_uint(reply, DUMMY_PCRS);
	cborio_put_cstr(reply, "locked_pcrs");
	cborio_put_array(reply, sizeof dummy_pcrs);
	for (size_t i = 0; i < sizeof dummy_pcrs; i++)
		cborio_put_uint(reply, dummy_pcrs[i]);
	cborio_put_cstr(reply, "digest");
	cborio_put_cstr(reply, "SHA384");
}

/* In hex the value is the PCR's digit, NSM_PCR_SIZE * 2 times. */
static void describe_pcr(struct buf *reply, uint64_t index)
{
	uint8_t value[NSM_PCR_SIZE];
	if (index >= DUMMY_PCRS || memchr(dummy_pcrs, (int)index, sizeof dummy_pcrs) == NULL) {
		put_error(reply, "InvalidIndex");
		return;
	}
	memset(value, (int)index * 0x11, sizeof value);
	cborio_put_map(reply, 1);
	cborio_put_cstr(reply, "DescribePCR");
	cborio_put_map(reply, 2);
	cborio_put_cstr(reply, "lock");
	cborio_put_bool(reply, true);
	cborio_put_cstr(reply, "data");
	cborio_put_bytes(reply, bytes_of(value, sizeof value));
}

static bool key_is(struct cborio_reader *r, const char *name)
{
	return bytes_is(cborio_text(r), name);
}

static size_t optional_size(struct cborio_reader *r)
{
	if (cborio_peek(r) != CBORIO_NULL)
		return cborio_bytes(r).n;
	cborio_null(r);
	return 0;
}

/* A name of an NSM error; the limits are looked at first, so that development meets them too. */
static const char *attestation(struct cborio_reader *r)
{
	static const struct {
		const char *name;
		size_t max;
	} fields[] = {{"user_data", NSM_USER_DATA_MAX}, {"nonce", NSM_NONCE_MAX}, {"public_key", NSM_PUBLIC_KEY_MAX}};
	const char *error = "InvalidOperation";
	if (cborio_map(r) != 3)
		return "InvalidArgument";
	for (size_t i = 0; i < 3; i++) {
		if (!key_is(r, fields[i].name))
			return "InvalidArgument";
		if (optional_size(r) > fields[i].max)
			error = "InputTooLarge";
	}
	return error;
}

static enum err dummy_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	struct cborio_reader r;
	(void)state;
	cborio_reader_init(&r, request);
	if (cborio_peek(&r) == CBORIO_TEXT) {
		struct bytes name = cborio_text(&r);
		if (bytes_is(name, "DescribeNSM"))
			describe_nsm(reply);
		else
			put_error(reply, bytes_is(name, "GetRandom") ? "InvalidOperation" : "InvalidArgument");
		return buf_check(reply, w);
	}
	struct bytes name = cborio_map(&r) == 1 ? cborio_text(&r) : bytes_of(NULL, 0);
	if (bytes_is(name, "Attestation")) {
		put_error(reply, attestation(&r));
	} else if (bytes_is(name, "DescribePCR") && cborio_map(&r) == 1 && key_is(&r, "index") &&
		   cborio_peek(&r) == CBORIO_UINT) {
		describe_pcr(reply, cborio_uint(&r));
	} else if (bytes_is(name, "ExtendPCR") || bytes_is(name, "LockPCR") || bytes_is(name, "LockPCRs")) {
		put_error(reply, "InvalidOperation");
	} else {
		put_error(reply, "InvalidArgument");
	}
	return buf_check(reply, w);
}

const struct nsm_ops nsm_dummy = {"dummy", dummy_open, dummy_call, dummy_close};
