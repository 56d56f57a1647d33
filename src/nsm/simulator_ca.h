/* simulator_ca.h - the simulator's certificates: root, region, zone, instance and leaf, shaped like AWS's. */
#ifndef ATTESTD_NSM_SIMULATOR_CA_H
#define ATTESTD_NSM_SIMULATOR_CA_H

#include "cert.h"
#include "nsm.h"

enum simulator_level {
	SIMULATOR_ROOT,
	SIMULATOR_REGION,
	SIMULATOR_ZONE,
	SIMULATOR_INSTANCE,
	SIMULATOR_LEAF,
	SIMULATOR_LEVELS,
};

enum {
	SIMULATOR_LEAF_MARGIN_S = 5 * 60, /* a leaf that has less left is replaced */
	SIMULATOR_LEAF_EXPIRED_S = 30,	  /* how long the leaf of SIMULATOR_EXPIRED has been over */
};

/* key NULL: not made yet, or its issuer was replaced. Valid from the first to the last second (Unix), inclusive. */
struct simulator_certificate {
	struct cert_key *key;
	struct buf der;
	int64_t not_before_s, not_after_s;
};

struct simulator_ca {
	struct crypto *crypto; /* borrowed */
	struct random random;
	bool expired; /* each leaf ended SIMULATOR_LEAF_EXPIRED_S before it was made */
	uint8_t enclave[8];
	char instance[20], module_id[40]; /* "i-0123456789abcdef0", "i-0123456789abcdef0-enc0123456789abcdef" */
	struct simulator_certificate level[SIMULATOR_LEVELS];
};

/* *ca is zero but for crypto, random and expired; makes the names and the root. simulator_ca_clear whatever happens. */
enum err simulator_ca_init(struct simulator_ca *ca, int64_t now_ms, struct why *w) MUST_USE;
void simulator_ca_clear(struct simulator_ca *ca);

/* Makes whatever would end too soon, and all below it. ERR_NSM when now_s is outside the root's own validity. */
enum err simulator_ca_renew(struct simulator_ca *ca, int64_t now_s, struct why *w) MUST_USE;

#endif
