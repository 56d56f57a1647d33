/* nitro_cli.h - which enclaves run on this machine, as nitro-cli tells. Private to src/cmd. */
#ifndef ATTESTD_CMD_NITRO_CLI_H
#define ATTESTD_CMD_NITRO_CLI_H

#include "base/bytes.h"
#include "base/clock.h"

enum {
	NITRO_CLI_OUTPUT_MAX = 256 * 1024, /* bytes that it may print */
	NITRO_CLI_MS = 10 * 1000,	   /* until it is killed */
	NITRO_ENCLAVES_MAX = 64,	   /* that run at once; an instance has room for four */
	NITRO_TEXT_MAX = 96,		   /* of a name or id as it is kept, with its NUL */
};

struct nitro_enclave {
	uint32_t cid;
	char name[NITRO_TEXT_MAX], id[NITRO_TEXT_MAX]; /* printable ASCII, cut; "" if there is none */
};
struct nitro_enclaves {
	size_t n;
	struct nitro_enclave list[NITRO_ENCLAVES_MAX];
};

/* What `nitro-cli describe-enclaves` printed: those that run. One without a State counts, as old versions name none.
 * ERR_ENVIRONMENT when it is anything else, or names more than NITRO_ENCLAVES_MAX. */
enum err nitro_cli_parse(struct bytes text, struct nitro_enclaves *out, struct why *w) MUST_USE;

/* Runs it, found in PATH, without a shell; what it complains of goes to our stderr. ERR_ENVIRONMENT says what to do. */
enum err nitro_cli_running(const struct clock *clock, struct nitro_enclaves *out, struct why *w) MUST_USE;

#endif
