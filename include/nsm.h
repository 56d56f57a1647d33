/* nsm.h - the Nitro Secure Module: its request set, and the back ends that carry it.
 *
 * A back end carries raw CBOR requests and replies, as the driver does (AWS nitro-enclaves-nsm-api): `device` by ioctl
 * 0x0A/0 on /dev/nsm, `simulator` in this process (simulator.h), `socket:PATH` to an `attestd simulate`, `dummy` for
 * development only. All calls block and are safe from any thread; serve makes them on LANE_NSM.
 *
 * On the socket (Unix, stream) a request and its reply are each a big-endian 32-bit length and that many bytes of CBOR;
 * requests follow each other on one connection. A length beyond NSM_REQUEST_MAX or NSM_REPLY_MAX, or of 0, ends it.
 */
#ifndef ATTESTD_NSM_H
#define ATTESTD_NSM_H

#include "base/bytes.h"
#include "base/clock.h"
#include "crypto.h"

enum {
	NSM_REQUEST_MAX = 4096,	   /* the driver refuses more with EMSGSIZE */
	NSM_REPLY_MAX = 16 * 1024, /* the driver silently truncates a reply that does not fit */
	NSM_USER_DATA_MAX = 512,
	NSM_NONCE_MAX = 512,
	NSM_PUBLIC_KEY_MAX = 1024,
	NSM_PCRS_MAX = 32,
	NSM_PCR_SIZE = 48, /* SHA-384 */
	NSM_RANDOM_MAX = 256,
	NSM_EXTEND_MAX = 1024,	  /* bytes that one ExtendPCR takes */
	NSM_MODULE_ID_SIZE = 128, /* with its NUL */
	NSM_FRAME_HEAD = 4,	  /* bytes of a length on the socket */
};

#define NSM_DEVICE_PATH "/dev/nsm"

/* What back ends are made of; all borrowed. device_path: NSM_DEVICE_PATH but in tests. */
struct nsm_env {
	const char *device_path;
	struct crypto *crypto;
	const struct clock *clock;
	struct random random;
	int64_t timeout_ms; /* for one call to a socket back end */
};

/* One back end. `call` sends one request and appends one reply, at most NSM_REPLY_MAX bytes. address: what follows the
 * colon of `socket:PATH`, else "". */
struct nsm_ops {
	const char *name;
	enum err (*open)(void **state, const struct nsm_env *env, const char *address, struct why *w);
	enum err (*call)(void *state, struct bytes request, struct buf *reply, struct why *w);
	void (*close)(void *state);
};
extern const struct nsm_ops nsm_device, nsm_dummy, nsm_simulator, nsm_socket;

/* The names of the NSM's own errors, NULL at the end. */
extern const char *const nsm_error_names[];

/* Frames of the socket. `b`, empty at first, becomes one: begin, append, end. False when that failed, nothing was
 * appended, or more than a 32-bit length can say. */
void nsm_frame_begin(struct buf *b);
bool nsm_frame_end(struct buf *b);
/* The length that a frame's first bytes announce, whatever it is. */
size_t nsm_frame_length(const uint8_t head[NSM_FRAME_HEAD]);

/* PCRs as people write them. "0" to "31", without leading zeros. */
bool nsm_pcr_index(struct bytes text, unsigned *out);
/* 96 hex digits. ERR_INVALID, told, on `field`. */
enum err nsm_pcr_value(unsigned index, struct bytes hex, uint8_t out[NSM_PCR_SIZE], const char *field,
		       struct why *w) MUST_USE;
/* The PCRs of a set (bit i: PCR i) as JSON: [0,3]. */
void nsm_pcrs_json(uint32_t set, struct buf *out);
/* "N=HEX", of these two. ERR_INVALID, told, on field `pcr`. */
enum err nsm_pcr_parse(struct bytes text, unsigned *index, uint8_t value[NSM_PCR_SIZE], struct why *w) MUST_USE;

struct nsm;

/* In all that follows ERR_NSM_REFUSED is the NSM's own error, named in w->text; ERR_NSM is that it did not answer, or
 * with what is not understood.
 *
 * spec: "auto", "device", "simulator", "dummy" or "socket:PATH", else ERR_CONFIG says so. auto takes the device when
 * env->device_path exists, else the dummy; *fell_back says that it did not. ERR_ENVIRONMENT with what to do when there
 * is no device or nobody answers on the socket. With ATTESTD_ENCLAVE there is the device alone: auto is the device, all
 * others are ERR_CONFIG, and nothing below is a dummy or simulated. */
enum err nsm_open(struct nsm **out, const char *spec, const struct nsm_env *env, bool *fell_back,
		  struct why *w) MUST_USE;
void nsm_close(struct nsm *n); /* NULL is fine */

const char *nsm_name(const struct nsm *n);  /* "device", "simulator", "socket" or "dummy": `nsm` in /health */
bool nsm_is_dummy(const struct nsm *n);	    /* has no documents to give */
bool nsm_is_device(const struct nsm *n);    /* the only one that an enclave may rely on */
bool nsm_is_simulated(const struct nsm *n); /* its documents are a software NSM's: `simulator` and `socket` */
struct bytes nsm_root(const struct nsm *n); /* the simulator's root certificate in DER; empty for all others. Not with
					     * ATTESTD_ENCLAVE. */

struct nsm_description {
	char module_id[NSM_MODULE_ID_SIZE];
	unsigned version_major, version_minor, version_patch, max_pcrs;
	uint32_t locked_pcrs; /* bit i: PCR i is locked */
	char digest[16];      /* "SHA384" */
};
enum err nsm_describe(struct nsm *n, struct nsm_description *out, struct why *w) MUST_USE;
/* value: appended, NSM_PCR_SIZE bytes. */
enum err nsm_pcr(struct nsm *n, unsigned index, struct buf *value, bool *locked, struct why *w) MUST_USE;
/* The PCR becomes SHA-384 of its value and `data` (1 to NSM_EXTEND_MAX bytes); the new value is appended. */
enum err nsm_extend(struct nsm *n, unsigned index, struct bytes data, struct buf *value, struct why *w) MUST_USE;
enum err nsm_lock(struct nsm *n, unsigned index, struct why *w) MUST_USE;	/* until the enclave ends */
enum err nsm_lock_below(struct nsm *n, unsigned index, struct why *w) MUST_USE; /* LockPCRs: all before `index` */
/* Exactly n bytes, in as many requests as that takes; an NSM that gives none is ERR_NSM. */
enum err nsm_random(struct nsm *n, uint8_t *out, size_t len, struct why *w) MUST_USE;

/* A field with p == NULL is sent as null. Lengths are checked here, in every back end: ERR_INTERNAL beyond the limits
 * above. The document is appended as the NSM gave it. */
struct nsm_attestation {
	struct bytes user_data, nonce, public_key;
};
enum err nsm_attest(struct nsm *n, const struct nsm_attestation *a, struct buf *document, struct why *w) MUST_USE;

#endif
