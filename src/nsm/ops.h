/* ops.h - what the files of src/nsm share; tests and fuzz targets stand in for the NSM by it. */
#ifndef ATTESTD_NSM_OPS_H
#define ATTESTD_NSM_OPS_H

#include "nsm.h"

struct nsm {
	const struct nsm_ops *ops;
	void *state;
};

/* Opens a back end that has no name in the configuration. */
enum err nsm_open_ops(struct nsm **out, const struct nsm_ops *ops, const struct nsm_env *env, const char *address,
		      struct why *w) MUST_USE;

#endif
