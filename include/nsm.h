/* nsm.h - the Nitro Secure Module: its request set, and the back ends that carry it.
 *
 * A back end carries raw CBOR requests and replies, as the driver does (AWS nitro-enclaves-nsm-api): `device` by ioctl
 * 0x0A/0 on /dev/nsm, `dummy` for development only. All calls block and are safe from any thread; serve makes them on
 * LANE_NSM.
 */
#ifndef ATTESTD_NSM_H
#define ATTESTD_NSM_H

#include "base/bytes.h"

enum {
	NSM_REQUEST_MAX = 4096,	   /* the driver refuses more with EMSGSIZE */
	NSM_REPLY_MAX = 16 * 1024, /* the driver silently truncates a reply that does not fit */
	NSM_USER_DATA_MAX = 512,
	NSM_NONCE_MAX = 512,
	NSM_PUBLIC_KEY_MAX = 1024,
	NSM_PCRS_MAX = 32,
	NSM_PCR_SIZE = 48, /* SHA-384 */
	NSM_RANDOM_MAX = 256,
	NSM_MODULE_ID_SIZE = 128, /* with its NUL */
};

#define NSM_DEVICE_PATH "/dev/nsm"

/* One back end. `call` sends one request and appends one reply, at most NSM_REPLY_MAX bytes. */
struct nsm_ops {
	const char *name;
	enum err (*open)(void **state, const char *path, struct why *w);
	enum err (*call)(void *state, struct bytes request, struct buf *reply, struct why *w);
	void (*close)(void *state);
};
extern const struct nsm_ops nsm_device, nsm_dummy;

struct nsm;

/* spec: "auto", "device" or "dummy". path: the device, NSM_DEVICE_PATH but in tests. auto takes the device when path
 * exists; *fell_back says that it did not. ERR_ENVIRONMENT with what to do when there is no device. */
enum err nsm_open(struct nsm **out, const char *spec, const char *path, bool *fell_back, struct why *w) MUST_USE;
void nsm_close(struct nsm *n); /* NULL is fine */

const char *nsm_name(const struct nsm *n); /* "device" or "dummy": `nsm` in /health */
bool nsm_is_dummy(const struct nsm *n);	   /* has no documents to give */
bool nsm_is_device(const struct nsm *n);

struct nsm_description {
	char module_id[NSM_MODULE_ID_SIZE];
	unsigned version_major, version_minor, version_patch, max_pcrs;
	uint32_t locked_pcrs; /* bit i: PCR i is locked */
	char digest[16];      /* "SHA384" */
};
enum err nsm_describe(struct nsm *n, struct nsm_description *out, struct why *w) MUST_USE;
/* value: appended, NSM_PCR_SIZE bytes. */
enum err nsm_pcr(struct nsm *n, unsigned index, struct buf *value, bool *locked, struct why *w) MUST_USE;
/* Exactly n bytes, in as many requests as that takes; an NSM that gives none is ERR_NSM. */
enum err nsm_random(struct nsm *n, uint8_t *out, size_t len, struct why *w) MUST_USE;

/* A field with p == NULL is sent as null. Lengths are checked here, in every back end: ERR_INTERNAL beyond the limits
 * above. The document is appended as the NSM gave it. ERR_NSM names the NSM's own error. */
struct nsm_attestation {
	struct bytes user_data, nonce, public_key;
};
enum err nsm_attest(struct nsm *n, const struct nsm_attestation *a, struct buf *document, struct why *w) MUST_USE;

#endif
