/* pool.h - the worker threads behind loop_submit(). Private to src/loop. */
#ifndef ATTESTD_LOOP_POOL_H
#define ATTESTD_LOOP_POOL_H

#include "loop.h"

struct pool;

/* wake_fd: an eventfd that becomes readable when finished jobs wait in pool_finished(). */
enum err pool_new(struct pool **out, int wake_fd, unsigned workers, unsigned nsm_queue, struct why *w) MUST_USE;
/* Waits for running jobs and returns all that are not settled, run or not; from now on none is taken. */
struct loop_job *pool_stop(struct pool *p);
void pool_free(struct pool *p);
enum err pool_submit(struct pool *p, enum loop_lane lane, struct loop_job *j, struct why *w) MUST_USE;
/* Takes the list of finished jobs, oldest first. */
struct loop_job *pool_finished(struct pool *p);
/* One job that pool_submit took has been finished off. */
void pool_settle(struct pool *p, enum loop_lane lane);
size_t pool_jobs(const struct pool *p, enum loop_lane lane);

#endif
