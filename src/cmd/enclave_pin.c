/* enclave_pin.c - the policy must tell which enclave is meant. */
#include "enclave_pin.h"

#include <stdio.h>

const struct help_row enclave_pin_rows[] = {
	{"--any-enclave", NULL, "do without PCRs: whoever has an enclave of their own may then be at the other end"},
	{0},
};

int enclave_pin_check(const struct args *a, const struct verify_policy *p)
{
	const enum verify_identity identity = verify_policy_identity(p);
	if (identity == VERIFY_COMPARED)
		return CMD_OK;
	const char *so = "the policy does not say which enclave is meant";
	if (identity == VERIFY_WEAK)
		so = "what the policy pins is weak: it does not tell one image from another (PCR2 is the same for every image "
		     "without a second ramdisk; PCR3 and PCR4 tell the role and the instance, not the code)";
	else if (p->n_pins > 0)
		so = "what the policy pins does not tell which enclave is meant: zeros are what every image has that sets nothing";
	if (args_has(a, "--any-enclave")) {
		fprintf(stderr,
			"attestd %s: WARNING: --any-enclave: %s. Whoever is between you and the enclave may have put an enclave "
			"of their own in its place, and nothing here would show it.\n",
			a->command->name, so);
		return CMD_OK;
	}
	fprintf(stderr,
		"attestd %s: %s. Anybody can run an enclave of their own, and its documents are as genuine. Pin PCR0, or PCR1 "
		"and PCR2, or PCR8 of the image that you trust: --pcr 0=HEX, or --policy FILE with what `nitro-cli "
		"build-enclave` printed. Its publisher tells you the PCRs; of an image file at hand `nitro-cli describe-eif "
		"--eif-path FILE` prints them; `attestd verify REPLY.json` prints those of a reply, to be compared with the "
		"publisher's. --any-enclave goes on without.\n",
		a->command->name, so);
	return CMD_USAGE;
}
