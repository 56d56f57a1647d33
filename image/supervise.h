/* supervise.h - keeps the programs of /etc/attestd/start running. */
#ifndef IMAGE_SUPERVISE_H
#define IMAGE_SUPERVISE_H

#include "programs.h"

/* Blocks the signals that supervise_run waits for: SIGCHLD, SIGTERM and SIGINT. To be called first of all, so that none
 * is lost before. */
void supervise_block(void);

/* Starts the programs and keeps them running (supervise.c says how) until one ends for good or SIGTERM or SIGINT comes,
 * then stops all of them and returns the exit status: 0 after a signal, else 1. */
int supervise_run(const struct programs *programs);

#endif
