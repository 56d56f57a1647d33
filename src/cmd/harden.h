/* harden.h - a process that holds keys leaves none behind. Private to src/cmd. */
#ifndef ATTESTD_CMD_HARDEN_H
#define ATTESTD_CMD_HARDEN_H

#include "base/err.h"

/* No core dumps, and no other process of the same user looks into this one's memory. */
enum err harden(struct why *w) MUST_USE;

#endif
