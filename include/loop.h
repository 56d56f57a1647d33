/* loop.h - one thread, one epoll: descriptors, timers, signals, a worker pool, and the end of a turn.
 *
 * A turn: epoll_wait -> our own descriptors -> timers -> guest.run -> guest.end_turn -> (if that resumed anything)
 * guest.run again. At most LOOP_PASSES passes. The guest is the HTTP server: it runs libmicrohttpd in `run`, and in
 * `end_turn` commits what the turn wrote and lets go the replies that waited for it.
 *
 * What can block or takes longer than about a millisecond runs as a job on a worker; its `done` is called on the loop's
 * thread. LANE_NSM has one thread of its own, because the driver answers one request at a time anyway and a slow NSM
 * must not hold up RSA. LANE_BULK has one too: work on heavy bodies and verifications, which take up to seconds, so
 * that none of it keeps RSA waiting. LANE_KEYS has one for the making of key pairs, which outsiders can ask for and
 * which takes some tenths of a second. LANE_CPU has as many as loop_new was told.
 */
#ifndef ATTESTD_LOOP_H
#define ATTESTD_LOOP_H

#include <signal.h>

#include "base/bytes.h"
#include "base/clock.h"

enum { LOOP_PASSES = 2, LOOP_EVENTS_PER_TURN = 64, LOOP_QUEUE_MAX = 4096 };

struct loop;

/* Embedded by value in what it serves; must stay put between loop_io_add and loop_io_del. */
struct loop_io {
	int fd;
	void (*ready)(struct loop_io *io, uint32_t epoll_events);
	void *ctx;
};

/* Embedded by value. All but `fire` and `ctx` is the loop's. Fires once; arm again for more. */
struct loop_timer {
	void (*fire)(struct loop_timer *t);
	void *ctx;
	int64_t at_ms;
	uint64_t round;
	bool armed;
	struct loop_timer *prev, *next;
};

enum loop_lane { LANE_CPU, LANE_NSM, LANE_BULK, LANE_KEYS, LANE_COUNT };

/* Embedded by value in the work's own data. run: on a worker, touching nothing but its own data. done: on the loop's
 * thread; always called once after loop_submit returned ERR_OK. */
struct loop_job {
	void (*run)(struct loop_job *j);
	void (*done)(struct loop_job *j);
	bool urgent; /* goes before all that are not: set for local callers, so that no flood from outside is in their
			way */
	enum loop_lane lane; /* this and `next` are the loop's */
	struct loop_job *next;
};

struct loop_guest {
	void *ctx;
	int64_t (*wait_ms)(void *ctx); /* at most this long until the next run; -1: no limit; 0: at once */
	void (*run)(void *ctx);
	bool (*end_turn)(void *ctx); /* true: something was resumed, run again */
	void (*flush)(void *ctx);    /* last thing of a turn: logs */
};

/* workers: threads of LANE_CPU, at least 1. nsm_queue: jobs that may wait in LANE_NSM; in the others LOOP_QUEUE_MAX
 * may. */
enum err loop_new(struct loop **out, const struct clock *clock, unsigned workers, unsigned nsm_queue,
		  struct why *w) MUST_USE;
/* Waits for running jobs and calls `done` for all that are left; those still queued were not run. None is taken from
 * now on. To be called while what the jobs refer to still stands. */
void loop_end_jobs(struct loop *l);
/* Ends the jobs if that was not done. NULL is fine. */
void loop_free(struct loop *l);

void loop_set_guest(struct loop *l, struct loop_guest g);

enum err loop_io_add(struct loop *l, struct loop_io *io, uint32_t epoll_events, struct why *w) MUST_USE;
enum err loop_io_mod(struct loop *l, struct loop_io *io, uint32_t epoll_events, struct why *w) MUST_USE;
void loop_io_del(struct loop *l, struct loop_io *io); /* before closing io->fd; events of this turn are dropped too */

void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t delay_ms); /* re-arms an armed one */
void loop_timer_disarm(struct loop *l, struct loop_timer *t);

/* Blocks the signal for this thread and all later ones and calls fn on the loop's thread. */
enum err loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx, struct why *w) MUST_USE;

/* ERR_BUSY when the lane's queue is full. */
enum err loop_submit(struct loop *l, enum loop_lane lane, struct loop_job *j, struct why *w) MUST_USE;
/* Jobs submitted and not yet done. */
size_t loop_jobs(const struct loop *l, enum loop_lane lane);

int64_t loop_now_ms(const struct loop *l); /* monotonic, read once a turn */
int64_t loop_now_us(const struct loop *l); /* monotonic, read now: for durations */

void loop_turn(struct loop *l, int64_t max_wait_ms); /* -1: as long as it takes */
void loop_run(struct loop *l);			     /* turns until loop_stop */
void loop_stop(struct loop *l);

#endif
