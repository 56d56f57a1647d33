/* pool.c - worker threads, a queue for each lane. */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { URGENT, ORDINARY, QUEUES };

/* One thread each; the others are LANE_CPU's. */
static const enum loop_lane single[] = {LANE_NSM, LANE_BULK, LANE_KEYS};
enum { SINGLES = sizeof single / sizeof single[0] };

struct queue {
	struct loop_job *head, **tail;
};

struct lane {
	struct pool *pool;
	pthread_cond_t wake;
	struct queue queue[QUEUES];
	size_t waiting, waiting_max; /* queued, not yet taken by a thread */
	size_t unsettled;	     /* submitted, `done` not yet called; loop thread only */
};

struct pool {
	pthread_mutex_t mutex;
	struct lane lane[LANE_COUNT];
	struct queue done;
	int wake_fd;
	bool stopping;
	unsigned n_threads;
	pthread_t thread[];
};

static void push(struct queue *q, struct loop_job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

/* All of it, oldest first. */
static struct loop_job *empty(struct queue *q)
{
	struct loop_job *j = q->head;
	q->head = NULL;
	q->tail = &q->head;
	return j;
}

static struct loop_job *pop(struct lane *lane)
{
	struct queue *q = &lane->queue[lane->queue[URGENT].head != NULL ? URGENT : ORDINARY];
	struct loop_job *j = q->head;
	if (j == NULL)
		return NULL;
	q->head = j->next;
	if (q->head == NULL)
		q->tail = &q->head;
	lane->waiting--;
	return j;
}

static void *worker(void *arg)
{
	struct lane *lane = arg;
	struct pool *p = lane->pool;
	pthread_mutex_lock(&p->mutex);
	while (!p->stopping) {
		struct loop_job *j = pop(lane);
		if (j == NULL) {
			pthread_cond_wait(&lane->wake, &p->mutex);
			continue;
		}
		pthread_mutex_unlock(&p->mutex);

		j->run(j);

		pthread_mutex_lock(&p->mutex);
		bool was_empty = p->done.head == NULL;
		push(&p->done, j);
		if (was_empty) {
			const uint64_t one = 1;
			/* An eventfd can only refuse when its counter is full, and then the loop is awake anyway. */
			(void)!write(p->wake_fd, &one, sizeof one);
		}
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

enum err pool_new(struct pool **out, int wake_fd, unsigned workers, unsigned nsm_queue, struct why *w)
{
	const unsigned threads = workers + SINGLES;
	struct pool *p = calloc(1, sizeof *p + threads * sizeof p->thread[0]);
	if (p == NULL)
		return why_set(w, ERR_MEMORY, "no memory for %u worker threads", threads);
	p->wake_fd = wake_fd;
	(void)empty(&p->done);
	pthread_mutex_init(&p->mutex, NULL);
	for (int i = 0; i < LANE_COUNT; i++) {
		struct lane *lane = &p->lane[i];
		lane->pool = p;
		for (int q = 0; q < QUEUES; q++)
			(void)empty(&lane->queue[q]);
		lane->waiting_max = i == LANE_NSM ? nsm_queue : LOOP_QUEUE_MAX;
		pthread_cond_init(&lane->wake, NULL);
	}

	/* Signals belong to the loop's thread alone; a thread inherits the mask it is created under. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->n_threads < threads) {
		struct lane *lane = &p->lane[p->n_threads < SINGLES ? single[p->n_threads] : LANE_CPU];
		if (pthread_create(&p->thread[p->n_threads], NULL, worker, lane) != 0)
			break;
		p->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->n_threads < threads) {
		pool_free(p);
		return why_set(w, ERR_ENVIRONMENT,
			       "cannot start %u worker threads: raise the limit on tasks, or lower `workers`", threads);
	}
	*out = p;
	return ERR_OK;
}

struct loop_job *pool_stop(struct pool *p)
{
	pthread_mutex_lock(&p->mutex);
	p->stopping = true;
	for (int i = 0; i < LANE_COUNT; i++)
		pthread_cond_broadcast(&p->lane[i].wake);
	pthread_mutex_unlock(&p->mutex);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->thread[i], NULL);
	p->n_threads = 0;
	for (int i = 0; i < LANE_COUNT; i++) {
		struct loop_job *j;
		while ((j = pop(&p->lane[i])) != NULL)
			push(&p->done, j);
	}
	return pool_finished(p);
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	(void)pool_stop(p);
	for (int i = 0; i < LANE_COUNT; i++)
		pthread_cond_destroy(&p->lane[i].wake);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

enum err pool_submit(struct pool *p, enum loop_lane lane_id, struct loop_job *j, struct why *w)
{
	struct lane *lane = &p->lane[lane_id];
	pthread_mutex_lock(&p->mutex);
	const bool full = p->stopping || lane->waiting >= lane->waiting_max;
	if (!full) {
		j->lane = lane_id;
		push(&lane->queue[j->urgent ? URGENT : ORDINARY], j);
		lane->waiting++;
		pthread_cond_signal(&lane->wake);
	}
	pthread_mutex_unlock(&p->mutex);
	if (full) {
		enum err e = why_tell(w, ERR_BUSY, NULL, "Too much work is waiting already; try again shortly.");
		w->retry_after_s = 1;
		return e;
	}
	lane->unsettled++;
	return ERR_OK;
}

struct loop_job *pool_finished(struct pool *p)
{
	pthread_mutex_lock(&p->mutex);
	struct loop_job *j = empty(&p->done);
	pthread_mutex_unlock(&p->mutex);
	return j;
}

void pool_settle(struct pool *p, enum loop_lane lane)
{
	p->lane[lane].unsettled--;
}

size_t pool_jobs(const struct pool *p, enum loop_lane lane)
{
	return p->lane[lane].unsettled;
}
