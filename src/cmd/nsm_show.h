/* nsm_show.h - what the NSM says of itself, for a person or as JSON. Private to src/cmd. */
#ifndef ATTESTD_CMD_NSM_SHOW_H
#define ATTESTD_CMD_NSM_SHOW_H

#include "nsm.h"

/* A few lines, or a JSON object and a newline. */
void nsm_show_description(struct buf *out, bool json, const char *backend, const struct nsm_description *d);
/* A line, or a JSON object without one. */
void nsm_show_pcr(struct buf *out, bool json, unsigned index, struct bytes value, bool locked);

#endif
