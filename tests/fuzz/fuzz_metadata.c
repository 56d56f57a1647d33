/* The bytes of an agent metadata file: whatever they are, claims with them are a JSON object of at most 512 bytes that
 * begins as ours do, says each thing once, and holds the metadata or its digest. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attest/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t noon(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400000);
}

static const struct clock fixed = {NULL, noon, noon, noon};

struct world {
	int fd;
	struct attest *a;
};

static void must(bool good)
{
	if (!good)
		abort();
}

static struct world world_new(void)
{
	struct world t = {.a = NULL};
	char path[64];
	struct crypto *crypto = NULL;
	struct nsm *nsm = NULL;
	struct verify *verify = NULL;
	struct log *log = NULL;
	struct why w;
	bool fell;
	t.fd = memfd_create("metadata", MFD_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", t.fd);
	must(crypto_new(&crypto, &w) == ERR_OK &&
	     nsm_open(&nsm, "dummy", &(struct nsm_env){.device_path = ""}, &fell, &w) == ERR_OK &&
	     verify_new(&verify, crypto, &fixed, &w) == ERR_OK);
	must(log_new(&log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR, LOG_TEXT, &fixed, &w) == ERR_OK);
	const struct attest_options o = {"OpenClaw",	   "LLM Proxy with Guardrails", path, "attestd", "0", "",
					 verify_aws_root()};
	must(attest_new(&t.a, &o, nsm, crypto, verify, &fixed, log, &w) == ERR_OK);
	return t;
}

static void look(const struct attest_claims *c, struct bytes metadata)
{
	static const char head[] =
		"{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"OpenClaw\"";
	struct json *claims = NULL, *given = NULL;
	struct why w;
	must(c->user_data.n <= NSM_USER_DATA_MAX && c->user_data.n > sizeof(head));
	must(memcmp(c->user_data.p, head, sizeof(head) - 1) == 0);
	must(json_parse(&claims, buf_bytes(&c->user_data), &w) == ERR_OK);
	must(json_parse(&given, metadata, &w) == ERR_OK);
	size_t members = json_size(json_root(claims)) - 4;
	if (c->metadata.n > 0)
		must(members == 1 && json_get(json_root(claims), "metadata_digest") != NULL);
	else
		must(members == json_size(json_root(given)));
	json_free(claims);
	json_free(given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world t;
	struct attest_claims c;
	struct why w;
	if (t.a == NULL)
		t = world_new();
	must(ftruncate(t.fd, 0) == 0 && pwrite(t.fd, data, size, 0) == (ssize_t)size);
	if (attest_claims_make(t.a, ATTEST_ATTESTATION, NULL, 0, true, &c, &w) != ERR_OK) {
		must(w.err == ERR_METADATA && w.tell);
		return 0;
	}
	look(&c, bytes_of(data, size));
	attest_claims_free(&c);
	return 0;
}
