/* attest.c - the attester's life, what it says in GET /info, and entropy from the NSM. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INFO_MAX = 16 * 1024, SEED_SIZE = 256 };

static enum err make_info(struct attest *a, const struct attest_options *o, struct why *w)
{
	struct buf *b = &a->info;
	*b = BUF_INIT(INFO_MAX);
	buf_put_u8(b, '{');
	JSON_PUT_KEY(b, "version");
	json_put_cstr(b, o->info_version);
	JSON_PUT_KEY(b, "name");
	json_put_cstr(b, o->info_name);
	JSON_PUT_KEY(b, "build_info");
	json_put_cstr(b, o->info_build[0] != '\0' ? o->info_build : NULL);
	buf_put_u8(b, '}');
	enum err e = buf_check(b, w);
	return e != ERR_OK ? e : crypto_sha256(a->crypto, buf_bytes(b), a->info_digest, w);
}

/* A broken metadata file must not keep the server from starting: requests can do without it. It is worth a line now,
 * though, rather than with the first request. */
static void look_at_metadata(struct attest *a)
{
	struct why w = {0};
	bool changed;
	if (a->metadata_file[0] != '\0' && attest_metadata_refresh(&a->metadata, a->metadata_file, a->crypto,
								   clock_wall(a->clock), &changed, &w) != ERR_OK)
		log_why(a->log, LOG_WARN, "metadata_unusable", &w);
}

/* A document that was just made is judged at its own time: in an enclave the clock is the parent's word. */
static enum err make_policy(struct attest *a, struct bytes root, struct why *w)
{
	verify_policy_init(&a->policy);
	a->policy.at = VERIFY_AT_DOCUMENT;
	return verify_policy_root_der(&a->policy, root, w);
}

enum err attest_new(struct attest **out, const struct attest_options *o, struct nsm *nsm, struct crypto *crypto,
		    struct verify *verify, const struct clock *clock, struct log *log, struct why *w)
{
	enum err e;
	struct attest *a = calloc(1, sizeof *a);
	if (a == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the attester");
	a->nsm = nsm;
	a->crypto = crypto;
	a->verify = verify;
	a->clock = clock;
	a->log = log;
	a->metadata = ATTEST_METADATA_INIT;
	a->agent = strdup(o->agent);
	a->guardrail = strdup(o->guardrail);
	a->metadata_file = strdup(o->metadata_file);
	if (a->agent == NULL || a->guardrail == NULL || a->metadata_file == NULL)
		e = why_set(w, ERR_MEMORY, "no memory for the attester");
	else
		e = make_info(a, o, w);
	if (e == ERR_OK)
		e = make_policy(a, o->root, w);
	if (e == ERR_OK)
		e = attest_claims_fit(a, w);
	if (e != ERR_OK) {
		attest_free(a);
		return e;
	}
	look_at_metadata(a);
	*out = a;
	return ERR_OK;
}

void attest_free(struct attest *a)
{
	if (a == NULL)
		return;
	free(a->agent);
	free(a->guardrail);
	free(a->metadata_file);
	buf_free(&a->info);
	attest_metadata_free(&a->metadata);
	free(a);
}

struct bytes attest_info(const struct attest *a)
{
	return buf_bytes(&a->info);
}

const uint8_t *attest_info_digest(const struct attest *a)
{
	return a->info_digest;
}

bool attest_verified(const struct attest *a)
{
	return atomic_load(&a->verified);
}

enum attest_debug attest_debug(const struct attest *a)
{
	return atomic_load(&a->debug);
}

/* Written, the bytes are mixed into the kernel's pool without being credited, which needs no privilege. */
static enum err seed_kernel(struct bytes seed, struct why *w)
{
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return why_set(w, ERR_ENVIRONMENT, "/dev/urandom cannot be opened for writing (%s)",
			       strerrorname_np(errno));
	ssize_t put;
	do
		put = write(fd, seed.p, seed.n);
	while (put < 0 && errno == EINTR);
	enum err e = ERR_OK;
	if (put < 0)
		e = why_set(w, ERR_ENVIRONMENT, "/dev/urandom cannot be written (%s)", strerrorname_np(errno));
	else if ((size_t)put != seed.n)
		e = why_set(w, ERR_ENVIRONMENT, "/dev/urandom took %zd of %zu bytes", put, seed.n);
	(void)close(fd);
	return e;
}

enum err attest_seed(struct nsm *nsm, struct crypto *crypto, struct why *w)
{
	uint8_t seed[SEED_SIZE];
	enum err e = nsm_random(nsm, seed, sizeof seed, w);
	if (e == ERR_OK)
		e = seed_kernel(bytes_of(seed, sizeof seed), w);
	if (e == ERR_OK)
		e = crypto_seed(crypto, bytes_of(seed, sizeof seed), w);
	mem_wipe(seed, sizeof seed);
	return e;
}
