/* ops.h - opening a back end that has no name in the configuration: how tests and the fuzz targets stand in for the
 * NSM. */
#ifndef ATTESTD_NSM_OPS_H
#define ATTESTD_NSM_OPS_H

#include "nsm.h"

enum err nsm_open_ops(struct nsm **out, const struct nsm_ops *ops, const char *path, struct why *w) MUST_USE;

#endif
