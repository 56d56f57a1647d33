/* simulator.h - a software NSM that really signs, under a root of its own.
 *
 * It answers the whole request set of AWS's nitro-enclaves-nsm-api with its limits and error names, and gives documents
 * in the shape that AWS's hardware emits today: an untagged COSE_Sign1 (ES384), the payload an indefinite map with null
 * optionals, the locked PCRs (0 to 15 from the start), and a chain of five certificates with names, key usages, path
 * lengths and validities like AWS's. Its root is made anew by each simulator_new and says whose it is: no verifier
 * trusts it unless told to. Part of src/nsm.
 */
#ifndef ATTESTD_SIMULATOR_H
#define ATTESTD_SIMULATOR_H

#include "base/clock.h"
#include "crypto.h"
#include "nsm.h"

/* More than this the clock cannot be shifted; what certificates can say sets the limit. */
enum { SIMULATOR_OFFSET_MAX_S = 20 * 365 * 24 * 60 * 60 };

/* What goes wrong, for tests. Of the Attestation request only, but for SLOW, ERROR and GARBAGE, which hit every one. */
enum simulator_fault {
	SIMULATOR_SOUND,
	SIMULATOR_SLOW,	   /* a mark for whoever calls simulator_call, who has to wait; here it is like SOUND */
	SIMULATOR_ERROR,   /* the NSM's error `error` */
	SIMULATOR_SHORT,   /* a reply that is cut in half */
	SIMULATOR_GARBAGE, /* bytes that are no CBOR */
	SIMULATOR_EXPIRED, /* signs with a leaf certificate that ended half a minute ago */
	SIMULATOR_BAD_SIGNATURE,
	SIMULATOR_OTHER_NONCE, /* attests another nonce than it was given, even where it was given none */
};

struct simulator_options {
	struct crypto *crypto;
	const struct clock *clock; /* borrowed, as crypto */
	struct random random;
	bool debug_mode; /* PCR0 to PCR2 are zero whatever is given, as in an enclave run with --debug-mode */
	/* Initial values over the recognisable ones (a77e57d0 repeated, a77e57d1 and a77e57d2 for PCR0 to PCR2,
	 * a77e57d4 for PCR4; the others are zero); p == NULL: not given, else NSM_PCR_SIZE bytes. Copied. */
	struct bytes pcr[NSM_PCRS_MAX];
	int64_t clock_offset_s; /* added to the clock in timestamps and certificates; at most SIMULATOR_OFFSET_MAX_S */
	enum simulator_fault fault;
	const char *error; /* borrowed; one of the NSM's error names, of SIMULATOR_ERROR, and then not NULL */
};

struct simulator;

/* ERR_CONFIG, told, for a PCR of another size and an offset beyond the limit; ERR_ENVIRONMENT, told, when the clock is
 * before 1970. Only the root is made here, the other certificates before the first document. */
enum err simulator_new(struct simulator **out, const struct simulator_options *o, struct why *w) MUST_USE;
void simulator_free(struct simulator *s); /* NULL is fine */

/* One request as the driver carries it; appends the reply. Safe from any thread. A request that the NSM would refuse is
 * answered with its error; failing is for ours (no memory; ERR_NSM once the clock has left the thirty years of the
 * root). Certificates are renewed here before they end.
 *
 * The errors: InvalidOperation for what is no request (AWS's enum read strictly: its members in any order, each once,
 * none else; one of Attestation that is missing is null); InvalidIndex for a PCR beyond 31 and for LockPCRs beyond 32;
 * ReadOnlyIndex for extending or locking a PCR that is locked; InputTooLarge for more than the limits of nsm.h, and
 * for a request of more than NSM_REQUEST_MAX bytes, which the driver would not even have passed on. */
enum err simulator_call(struct simulator *s, struct bytes request, struct buf *reply, struct why *w) MUST_USE;

/* The root certificate in DER, lives as long as s. */
struct bytes simulator_root(const struct simulator *s);

#endif
