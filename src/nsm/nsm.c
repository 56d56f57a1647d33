/* nsm.c - choosing a back end by its name, and what is known of it. */
#include "nsm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
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

#ifdef ATTESTD_ENCLAVE
/* The device alone, so that what is ruled for a real NSM holds whatever the configuration says: no secret from the
 * environment, no anonymous private data, no key before the NSM has seeded the generators. socket:PATH would be a way
 * around that, and is for `attestd simulate`, which is not here either. */
static const struct nsm_ops *find(const char *spec, const struct nsm_env *env, const char **address)
{
	(void)env;
	(void)address;
	return strcmp(spec, "device") == 0 || strcmp(spec, "auto") == 0 ? &nsm_device : NULL;
}

bool nsm_is_dummy(const struct nsm *n)
{
	(void)n;
	return false;
}

bool nsm_is_simulated(const struct nsm *n)
{
	(void)n;
	return false;
}
#else
/* Only a path that is truly absent counts: a device that is there and cannot be reached must not turn into a dummy. */
static bool is_missing(const char *path)
{
	struct stat st;
	return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static const struct nsm_ops *find(const char *spec, const struct nsm_env *env, const char **address)
{
	static const char prefix[] = "socket:";
	if (strcmp(spec, "device") == 0)
		return &nsm_device;
	if (strcmp(spec, "simulator") == 0)
		return &nsm_simulator;
	if (strcmp(spec, "dummy") == 0)
		return &nsm_dummy;
	if (strcmp(spec, "auto") == 0)
		return is_missing(env->device_path) ? &nsm_dummy : &nsm_device;
	if (strncmp(spec, prefix, sizeof prefix - 1) != 0)
		return NULL;
	*address = spec + sizeof prefix - 1;
	return &nsm_socket;
}

bool nsm_is_dummy(const struct nsm *n)
{
	return n->ops == &nsm_dummy;
}

bool nsm_is_simulated(const struct nsm *n)
{
	return n->ops == &nsm_simulator || n->ops == &nsm_socket;
}

struct bytes nsm_root(const struct nsm *n)
{
	return n->ops == &nsm_simulator ? simulator_root(n->state) : bytes_of(NULL, 0);
}
#endif

enum err nsm_open(struct nsm **out, const char *spec, const struct nsm_env *env, bool *fell_back, struct why *w)
{
	const char *address = "";
	const struct nsm_ops *ops = find(spec, env, &address);
	if (ops == NULL)
		return why_set(w, ERR_CONFIG, "there is no NSM back end `%.64s`: say " CONFIG_NSM_NAMES, spec);
	const enum err e = nsm_open_ops(out, ops, env, address, w);
	if (e == ERR_OK)
		*fell_back = strcmp(spec, "auto") == 0 && ops != &nsm_device;
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

bool nsm_is_device(const struct nsm *n)
{
	return n->ops == &nsm_device;
}
