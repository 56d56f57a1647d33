/* in_process.c - the simulator as a back end of this very process. */
#include "simulator.h"

static enum err in_process_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	(void)address;
	const struct simulator_options o = {.crypto = env->crypto, .clock = env->clock, .random = env->random};
	struct simulator *s = NULL;
	const enum err e = simulator_new(&s, &o, w);
	if (e == ERR_OK)
		*state = s;
	return e;
}

static enum err in_process_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	return simulator_call(state, request, reply, w);
}

static void in_process_close(void *state)
{
	simulator_free(state);
}

const struct nsm_ops nsm_simulator = {"simulator", in_process_open, in_process_call, in_process_close};
