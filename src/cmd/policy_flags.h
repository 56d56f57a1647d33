/* policy_flags.h - the flags that say what a document must be, the same in every command that verifies one. Private to
 * src/cmd.
 *
 * The policy file comes first and flags go over it: a --pcr takes the place of all that the file pins for that PCR,
 * several --pcr of one PCR are all accepted; any other flag takes the place of the file's member.
 */
#ifndef ATTESTD_CMD_POLICY_FLAGS_H
#define ATTESTD_CMD_POLICY_FLAGS_H

#include "args.h"
#include "config.h"
#include "verify.h"

extern const struct help_row policy_rows[];
/* --at and --purpose, for commands that leave both open. */
extern const struct help_row policy_kind_rows[];
/* --nonce and --user-data. A command that has them in another sense tells of its own in place of these, and
 * policy_flags_make leaves them to it. */
extern const struct help_row policy_value_rows[];

/* The policy that file and flags make. ERR_USAGE names the flag at fault; ERR_ENVIRONMENT when a file cannot be read.
 */
enum err policy_flags_make(const struct args *a, struct verify_policy *out, struct why *w) MUST_USE;
/* The same for attested peers: without --policy the file is peer_policy's, without --root, and where no file holds one,
 * the root is peer_root's. */
enum err policy_flags_over(const struct args *a, const struct config *c, struct verify_policy *out,
			   struct why *w) MUST_USE;

/* For commands that judge what is now: `at` may be no other time, and one that asks the server itself (`asks`) takes no
 * nonce from a policy file, which would be the same each time. Says so and returns CMD_USAGE; a nonce given with the
 * flag is warned of. */
int policy_flags_fresh(const struct args *a, const struct verify_policy *p, bool asks) MUST_USE;

/* A policy that requires no nonce then requires a random one, which is to be sent. */
enum err policy_flags_nonce(struct crypto *c, struct verify_policy *p, struct why *w) MUST_USE;

#endif
