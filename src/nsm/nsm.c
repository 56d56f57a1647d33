/* nsm.c - choosing a back end by its name, and what is known of it. */
#include "nsm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ops.h"
#include "simulator.h"

enum err nsm_open_ops(struct nsm **out, const struct nsm_ops *ops, const struct nsm_env *env, const char *address,
		      struct why *w)
{
	struct nsm *n = malloc(sizeof *n);
	if (n == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the NSM");
	*n = (struct nsm){ops, NULL};
	enum err e = ops->open(&n->state, env, address, w);
	if (e != ERR_OK) {
		free(n);
		return e;
	}
	*out = n;
	return ERR_OK;
}

/* Only a path that is truly absent counts: a device that is there and cannot be reached must not turn into a dummy. */
static bool is_missing(const char *path)
{
	struct stat st;
	return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

enum err nsm_open(struct nsm **out, const char *spec, const struct nsm_env *env, bool *fell_back, struct why *w)
{
	static const char prefix[] = "socket:";
	const struct nsm_ops *ops;
	const char *address = "";
	bool fall = false;
	if (strcmp(spec, "device") == 0) {
		ops = &nsm_device;
	} else if (strcmp(spec, "simulator") == 0) {
		ops = &nsm_simulator;
	} else if (strcmp(spec, "dummy") == 0) {
		ops = &nsm_dummy;
	} else if (strncmp(spec, prefix, sizeof prefix - 1) == 0) {
		ops = &nsm_socket;
		address = spec + sizeof prefix - 1;
	} else if (strcmp(spec, "auto") == 0) {
		fall = is_missing(env->device_path);
		ops = fall ? &nsm_dummy : &nsm_device;
	} else {
		return why_set(w, ERR_CONFIG,
			       "there is no NSM back end `%.64s`: say auto, device, simulator, dummy or socket:PATH",
			       spec);
	}
	enum err e = nsm_open_ops(out, ops, env, address, w);
	if (e == ERR_OK)
		*fell_back = fall;
	return e;
}

void nsm_close(struct nsm *n)
{
	if (n == NULL)
		return;
	n->ops->close(n->state);
	free(n);
}

const char *nsm_name(const struct nsm *n)
{
	return n->ops->name;
}

bool nsm_is_dummy(const struct nsm *n)
{
	return n->ops == &nsm_dummy;
}

bool nsm_is_device(const struct nsm *n)
{
	return n->ops == &nsm_device;
}

bool nsm_is_simulated(const struct nsm *n)
{
	return n->ops == &nsm_simulator || n->ops == &nsm_socket;
}

struct bytes nsm_root(const struct nsm *n)
{
	return n->ops == &nsm_simulator ? simulator_root(n->state) : bytes_of(NULL, 0);
}
