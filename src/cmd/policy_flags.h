/* policy_flags.h - the flags that say what a document must be, the same in every command that verifies one. Private to
 * src/cmd.
 *
 * The policy file comes first and flags go over it: a --pcr takes the place of all that the file pins for that PCR,
 * several --pcr of one PCR are all accepted; any other flag takes the place of the file's member, and of the same flag
 * given before.
 */
#ifndef ATTESTD_CMD_POLICY_FLAGS_H
#define ATTESTD_CMD_POLICY_FLAGS_H

#include "verify.h"

enum { POLICY_OWN_FLAGS_MAX = 16 };

/* A flag of the command's own: with `value` it takes one, else it sets *on. */
struct policy_own_flag {
	const char *name; /* with its two dashes */
	const char **value;
	bool *on;
};

struct policy_flags {
	const char *file, *root, *nonce, *user_data, *max_age, *at, *purpose; /* NULL: not given */
	const char **pcrs;
	size_t n_pcrs;
	bool allow_debug, help;
	char **args; /* what is no option; points into argv */
	size_t n_args;
};

/* Lines of --help on the flags, each with its newline. */
#define POLICY_FLAGS_HELP                                                                                         \
	"  --pcr N=HEX          PCR N must have this value; several values of one PCR: any of them\n"             \
	"  --policy FILE        the same and more in JSON (docs/VERIFYING.md), or what nitro-cli build-enclave\n" \
	"                       prints; flags go over it, a --pcr over all that it pins for that PCR\n"           \
	"  --nonce N            the nonce that was sent: hex, base64 or text; hex:, base64: or text: in front\n"  \
	"                       decide\n"                                                                         \
	"  --user-data D        the very bytes that must be attested, written like a nonce\n"                     \
	"  --max-age SECONDS    the oldest document that will do (300), by the NSM's clock; any: every age\n"     \
	"  --allow-debug        accept an enclave in debug mode, which protects nothing\n"                        \
	"  --root PEM           a file with the root to trust in place of AWS's: a simulator's\n"                 \
	"  --at TIME            judge as of now (default), document (its own time), or Unix seconds\n"            \
	"  --purpose P          what the document must have been made for: attestation, key-exchange, info, ...\n"

/* CMD_OK, or the exit status after having said on stderr what is wrong. To be followed by policy_flags_free in any
 * case. */
int policy_flags_read(struct policy_flags *f, const struct policy_own_flag *own, size_t n_own, int argc, char **argv);
void policy_flags_free(struct policy_flags *f);

/* The policy that file and flags make. ERR_USAGE names the flag at fault; ERR_ENVIRONMENT when a file cannot be read.
 */
enum err policy_flags_make(const struct policy_flags *f, struct verify_policy *out, struct why *w) MUST_USE;

#endif
