/* nsm_show.h - what the NSM says of itself, for a person or as JSON. Private to src/cmd. */
#ifndef ATTESTD_CMD_NSM_SHOW_H
#define ATTESTD_CMD_NSM_SHOW_H

#include "nsm.h"

/* What the dummy says is marked as invented. A few lines, or a JSON object and a newline. */
void nsm_show_description(struct buf *out, bool json, const struct nsm *n, const struct nsm_description *d);
/* A line, or a JSON object without one. */
void nsm_show_pcr(struct buf *out, bool json, const struct nsm *n, unsigned index, struct bytes value, bool locked);

#endif
