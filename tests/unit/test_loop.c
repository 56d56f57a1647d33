/* The event loop under a clock that the test sets: timers, descriptors, signals, jobs, and the guest's turn. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop.h"

enum { NSM_QUEUE = 2, PATIENCE_MS = 10000 };

struct fixture {
	int64_t now_us;
	struct clock clock;
	struct loop *l;
	char trace[256];
	struct why w;
};

static int64_t fake_us(void *ctx)
{
	return ((struct fixture *)ctx)->now_us;
}
static int64_t fake_ms(void *ctx)
{
	return fake_us(ctx) / 1000;
}

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.now_us = 5000000, .clock = {&f, fake_us, fake_ms, fake_ms}};
	*state = &f;
	return loop_new(&f.l, &f.clock, 2, NSM_QUEUE, &f.w) == ERR_OK ? 0 : 1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	loop_free(f->l);
	return 0;
}

static void note(struct fixture *f, char c)
{
	const size_t n = strlen(f->trace);
	assert_true(n + 1 < sizeof f->trace);
	f->trace[n] = c;
}

static void pass_time(struct fixture *f, int64_t ms)
{
	f->now_us += ms * 1000;
	loop_turn(f->l, 0);
}

/* ---- timers ---- */

struct ticker {
	struct loop_timer t;
	struct fixture *f;
	char name;
	int64_t again_ms; /* -1: never */
	struct ticker *disarms;
};

static void on_tick(struct loop_timer *t)
{
	struct ticker *k = t->ctx;
	assert_false(t->armed);
	note(k->f, k->name);
	if (k->disarms != NULL)
		loop_timer_disarm(k->f->l, &k->disarms->t);
	if (k->again_ms >= 0)
		loop_timer_arm(k->f->l, t, k->again_ms);
}

static void ticker(struct ticker *k, struct fixture *f, char name)
{
	*k = (struct ticker){.f = f, .name = name, .again_ms = -1};
	k->t = (struct loop_timer){.fire = on_tick, .ctx = k};
}

static void tickers(struct ticker *k, struct fixture *f, const char *names)
{
	for (size_t i = 0; names[i] != '\0'; i++)
		ticker(&k[i], f, names[i]);
}

static void timers_fire_in_order_of_time_then_of_arming(void **state)
{
	struct fixture *f = *state;
	struct ticker k[5];
	tickers(k, f, "abcde");
	loop_timer_arm(f->l, &k[2].t, 30);
	loop_timer_arm(f->l, &k[0].t, 10);
	loop_timer_arm(f->l, &k[3].t, 30);
	loop_timer_arm(f->l, &k[1].t, 20);
	loop_timer_arm(f->l, &k[4].t, 40);
	pass_time(f, 39);
	assert_string_equal(f->trace, "abcd");
	pass_time(f, 1);
	assert_string_equal(f->trace, "abcde");
	pass_time(f, 1000);
	assert_string_equal(f->trace, "abcde");
}

static void a_timer_fires_at_its_time_and_not_before(void **state)
{
	struct fixture *f = *state;
	struct ticker k[1];
	tickers(k, f, "a");
	loop_timer_arm(f->l, &k[0].t, 100);
	assert_true(k[0].t.armed);
	pass_time(f, 99);
	assert_string_equal(f->trace, "");
	pass_time(f, 1);
	assert_string_equal(f->trace, "a");
	assert_int_equal(loop_now_ms(f->l), 5100);
}

static void arming_again_moves_a_timer(void **state)
{
	struct fixture *f = *state;
	struct ticker k[3];
	tickers(k, f, "abc");
	loop_timer_arm(f->l, &k[0].t, 10);
	loop_timer_arm(f->l, &k[1].t, 20);
	loop_timer_arm(f->l, &k[2].t, 30);
	loop_timer_arm(f->l, &k[0].t, 25);
	loop_timer_arm(f->l, &k[2].t, 5);
	pass_time(f, 30);
	assert_string_equal(f->trace, "cba");
}

static void a_disarmed_timer_does_not_fire(void **state)
{
	struct fixture *f = *state;
	struct ticker k[4];
	tickers(k, f, "abcd");
	for (int i = 0; i < 4; i++)
		loop_timer_arm(f->l, &k[i].t, 10 + i);
	loop_timer_disarm(f->l, &k[0].t);
	loop_timer_disarm(f->l, &k[2].t);
	loop_timer_disarm(f->l, &k[2].t);
	loop_timer_disarm(f->l, &k[3].t);
	pass_time(f, 100);
	assert_string_equal(f->trace, "b");
}

static void a_timer_may_disarm_another_that_is_due(void **state)
{
	struct fixture *f = *state;
	struct ticker k[3];
	tickers(k, f, "abc");
	k[0].disarms = &k[1];
	for (int i = 0; i < 3; i++)
		loop_timer_arm(f->l, &k[i].t, 10);
	pass_time(f, 10);
	assert_string_equal(f->trace, "ac");
}

static void free_holder(struct loop_timer *t)
{
	free(t);
}

/* As a request's deadline does: nothing of the timer may be touched after it fired. */
static void a_timer_may_free_what_it_is_embedded_in(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 3; i++) {
		struct loop_timer *t = calloc(1, sizeof *t);
		assert_non_null(t);
		t->fire = free_holder;
		loop_timer_arm(f->l, t, 10);
	}
	pass_time(f, 10);
}

static void a_timer_that_arms_itself_for_now_fires_once_a_turn(void **state)
{
	struct fixture *f = *state;
	struct ticker k[1];
	tickers(k, f, "a");
	k[0].again_ms = 0;
	loop_timer_arm(f->l, &k[0].t, 0);
	for (int i = 0; i < 3; i++)
		pass_time(f, 0);
	assert_string_equal(f->trace, "aaa");
	loop_timer_disarm(f->l, &k[0].t);
}

static void a_due_timer_ends_the_wait(void **state)
{
	struct fixture *f = *state;
	struct ticker k[1];
	tickers(k, f, "a");
	loop_timer_arm(f->l, &k[0].t, 50);
	f->now_us += 50000;
	loop_turn(f->l, -1); /* would wait for a minute */
	assert_string_equal(f->trace, "a");
}

/* ---- descriptors ---- */

struct ear {
	struct loop_io io;
	struct fixture *f;
	char name;
	int other; /* the end that is written to */
	struct ear *silences;
	bool reads;
};

static void on_ready(struct loop_io *io, uint32_t events)
{
	struct ear *e = io->ctx;
	char c;
	assert_true(events & EPOLLIN);
	note(e->f, e->name);
	if (e->reads)
		assert_int_equal(read(io->fd, &c, 1), 1);
	if (e->silences != NULL)
		loop_io_del(e->f->l, &e->silences->io);
}

static void ear(struct ear *e, struct fixture *f, char name)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	*e = (struct ear){.f = f, .name = name, .other = fds[1], .reads = true};
	e->io = (struct loop_io){fds[0], on_ready, e};
	assert_int_equal(loop_io_add(f->l, &e->io, EPOLLIN, &f->w), ERR_OK);
}

static void shut(struct ear *e)
{
	close(e->io.fd);
	close(e->other);
}

static void say(struct ear *e)
{
	assert_int_equal(write(e->other, "x", 1), 1);
}

static void a_readable_descriptor_is_told_once_a_turn(void **state)
{
	struct fixture *f = *state;
	struct ear e;
	ear(&e, f, 'e');
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "");
	say(&e);
	say(&e);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "e");
	loop_turn(f->l, -1);
	assert_string_equal(f->trace, "ee");
	assert_int_equal(loop_io_mod(f->l, &e.io, 0, &f->w), ERR_OK);
	say(&e);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "ee");
	assert_int_equal(loop_io_mod(f->l, &e.io, EPOLLIN, &f->w), ERR_OK);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "eee");
	loop_io_del(f->l, &e.io);
	shut(&e);
}

static void removing_a_descriptor_drops_its_events_of_this_turn(void **state)
{
	struct fixture *f = *state;
	struct ear a, b;
	ear(&a, f, 'x');
	ear(&b, f, 'x');
	a.silences = &b;
	b.silences = &a;
	say(&a);
	say(&b);
	loop_turn(f->l, 0); /* whichever comes first silences the other */
	assert_string_equal(f->trace, "x");
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "x");
	loop_io_del(f->l, &a.io);
	loop_io_del(f->l, &b.io);
	shut(&a);
	shut(&b);
}

static void more_descriptors_than_a_turn_takes_are_all_served(void **state)
{
	enum { MANY = LOOP_EVENTS_PER_TURN + 40 };
	struct fixture *f = *state;
	struct ear e[MANY];
	for (int i = 0; i < MANY; i++) {
		ear(&e[i], f, '.');
		say(&e[i]);
	}
	loop_turn(f->l, 0);
	assert_int_equal(strlen(f->trace), LOOP_EVENTS_PER_TURN);
	loop_turn(f->l, 0);
	assert_int_equal(strlen(f->trace), MANY);
	for (int i = 0; i < MANY; i++) {
		loop_io_del(f->l, &e[i].io);
		shut(&e[i]);
	}
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct loop_io io = {.fd = -1};
	assert_int_equal(loop_io_add(f->l, &io, EPOLLIN, &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "-1"));
}

/* ---- signals ---- */

static void on_signal(void *ctx, int signo)
{
	note(ctx, signo == SIGUSR1 ? '1' : '2');
}

static void signals_come_on_the_loop_with_their_number(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(loop_on_signal(f->l, SIGUSR1, on_signal, f, &f->w), ERR_OK);
	assert_int_equal(loop_on_signal(f->l, SIGUSR2, on_signal, f, &f->w), ERR_OK);
	raise(SIGUSR2);
	assert_string_equal(f->trace, "");
	loop_turn(f->l, -1);
	assert_string_equal(f->trace, "2");
	raise(SIGUSR1);
	raise(SIGUSR1); /* signals do not queue */
	loop_turn(f->l, -1);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "21");
}

static void hooks_have_a_limit(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(loop_on_signal(f->l, SIGUSR1, on_signal, f, &f->w), ERR_OK);
	assert_int_equal(loop_on_signal(f->l, SIGUSR1, on_signal, f, &f->w), ERR_INTERNAL);
	raise(SIGUSR1);
	loop_turn(f->l, -1);
	assert_string_equal(f->trace, "11111111");
}

/* ---- jobs ---- */

struct work {
	struct loop_job job;
	struct fixture *f;
	char name;
	sem_t *gate; /* waited for by the worker, if there is one */
	sem_t *begun;
	pthread_t ran_on;
	bool ran;
};

static void on_run(struct loop_job *j)
{
	struct work *k = (struct work *)j;
	if (k->begun != NULL)
		sem_post(k->begun);
	if (k->gate != NULL)
		sem_wait(k->gate);
	k->ran_on = pthread_self();
	k->ran = true;
}

static void on_done(struct loop_job *j)
{
	struct work *k = (struct work *)j;
	note(k->f, k->name);
}

static void work(struct work *k, struct fixture *f, char name)
{
	*k = (struct work){.job = {.run = on_run, .done = on_done}, .f = f, .name = name};
}

static void finish(struct fixture *f, enum loop_lane lane)
{
	for (int i = 0; i < 1000 && loop_jobs(f->l, lane) > 0; i++)
		loop_turn(f->l, PATIENCE_MS);
	assert_int_equal(loop_jobs(f->l, lane), 0);
}

static void jobs_run_elsewhere_and_are_done_here(void **state)
{
	struct fixture *f = *state;
	struct work k[LANE_COUNT];
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		work(&k[lane], f, (char)('0' + lane));
		assert_int_equal(loop_submit(f->l, (enum loop_lane)lane, &k[lane].job, &f->w), ERR_OK);
		assert_int_equal(loop_jobs(f->l, (enum loop_lane)lane), 1);
		finish(f, (enum loop_lane)lane);
		assert_true(k[lane].ran);
		assert_false(pthread_equal(k[lane].ran_on, pthread_self()));
	}
	assert_string_equal(f->trace, "0123");
}

static void the_nsm_lane_keeps_its_order(void **state)
{
	struct fixture *f = *state;
	struct work k[NSM_QUEUE];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < NSM_QUEUE; i++) {
			work(&k[i], f, (char)('a' + i));
			assert_int_equal(loop_submit(f->l, LANE_NSM, &k[i].job, &f->w), ERR_OK);
		}
		finish(f, LANE_NSM);
	}
	for (int i = 0; f->trace[i] != '\0'; i++)
		assert_int_equal(f->trace[i], 'a' + i % NSM_QUEUE);
}

static void a_stuck_nsm_holds_up_nobody_but_itself(void **state)
{
	struct fixture *f = *state;
	struct work stuck, queued[NSM_QUEUE], other[3], refused;
	sem_t gate, begun;
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	work(&stuck, f, 's');
	stuck.gate = &gate;
	stuck.begun = &begun;
	assert_int_equal(loop_submit(f->l, LANE_NSM, &stuck.job, &f->w), ERR_OK);
	sem_wait(&begun); /* from here on it no longer counts as waiting */

	for (int i = 0; i < NSM_QUEUE; i++) {
		work(&queued[i], f, 'q');
		assert_int_equal(loop_submit(f->l, LANE_NSM, &queued[i].job, &f->w), ERR_OK);
	}
	work(&refused, f, 'r');
	assert_int_equal(loop_submit(f->l, LANE_NSM, &refused.job, &f->w), ERR_BUSY);
	assert_true(f->w.tell);
	assert_true(f->w.retry_after_s > 0);
	assert_int_equal(loop_jobs(f->l, LANE_NSM), 1 + NSM_QUEUE);

	for (int i = 0; i < 3; i++) {
		work(&other[i], f, 'o');
		assert_int_equal(loop_submit(f->l, LANE_CPU, &other[i].job, &f->w), ERR_OK);
	}
	finish(f, LANE_CPU);
	assert_string_equal(f->trace, "ooo");

	sem_post(&gate);
	finish(f, LANE_NSM);
	assert_string_equal(f->trace, "ooosqq");
	assert_int_equal(loop_submit(f->l, LANE_NSM, &refused.job, &f->w), ERR_OK); /* it was never taken */
	finish(f, LANE_NSM);
	assert_string_equal(f->trace, "ooosqqr");
}

static void long_work_holds_up_nobody_but_itself(void **state)
{
	struct fixture *f = *state;
	struct work stuck, next, other[3], call;
	sem_t gate, begun;
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	work(&stuck, f, 's');
	stuck.gate = &gate;
	stuck.begun = &begun;
	assert_int_equal(loop_submit(f->l, LANE_BULK, &stuck.job, &f->w), ERR_OK);
	sem_wait(&begun);
	work(&next, f, 'n');
	assert_int_equal(loop_submit(f->l, LANE_BULK, &next.job, &f->w), ERR_OK);
	for (int i = 0; i < 3; i++) {
		work(&other[i], f, 'o');
		assert_int_equal(loop_submit(f->l, LANE_CPU, &other[i].job, &f->w), ERR_OK);
	}
	finish(f, LANE_CPU);
	work(&call, f, 'c');
	assert_int_equal(loop_submit(f->l, LANE_NSM, &call.job, &f->w), ERR_OK);
	finish(f, LANE_NSM);
	assert_string_equal(f->trace, "oooc");
	assert_int_equal(loop_jobs(f->l, LANE_BULK), 2); /* it has one thread, however many processors there are */
	assert_false(next.ran);
	sem_post(&gate);
	finish(f, LANE_BULK);
	assert_string_equal(f->trace, "ooocsn");
}

static void urgent_jobs_go_before_those_that_are_not(void **state)
{
	struct fixture *f = *state;
	struct work stuck, ordinary, urgent;
	sem_t gate, begun;
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	work(&stuck, f, 's');
	stuck.gate = &gate;
	stuck.begun = &begun;
	assert_int_equal(loop_submit(f->l, LANE_NSM, &stuck.job, &f->w), ERR_OK);
	sem_wait(&begun);
	work(&ordinary, f, 'o');
	work(&urgent, f, 'u');
	urgent.job.urgent = true;
	assert_int_equal(loop_submit(f->l, LANE_NSM, &ordinary.job, &f->w), ERR_OK);
	assert_int_equal(loop_submit(f->l, LANE_NSM, &urgent.job, &f->w), ERR_OK);
	sem_post(&gate);
	finish(f, LANE_NSM);
	assert_string_equal(f->trace, "suo");
}

static void has_a_limit(struct fixture *f, enum loop_lane lane, int threads)
{
	static struct work k[LOOP_QUEUE_MAX], stuck[2], more;
	sem_t gate, begun;
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	for (int i = 0; i < threads; i++) {
		work(&stuck[i], f, 's');
		stuck[i].gate = &gate;
		stuck[i].begun = &begun;
		assert_int_equal(loop_submit(f->l, lane, &stuck[i].job, &f->w), ERR_OK);
		sem_wait(&begun);
	}
	for (int i = 0; i < LOOP_QUEUE_MAX; i++) {
		work(&k[i], f, '\0');
		assert_int_equal(loop_submit(f->l, lane, &k[i].job, &f->w), ERR_OK);
	}
	work(&more, f, 'm');
	assert_int_equal(loop_submit(f->l, lane, &more.job, &f->w), ERR_BUSY);
	for (int i = 0; i < threads; i++)
		sem_post(&gate);
	finish(f, lane);
	assert_true(k[LOOP_QUEUE_MAX - 1].ran);
}

static void the_other_lanes_have_a_limit_too(void **state)
{
	struct fixture *f = *state;
	has_a_limit(f, LANE_CPU, 2);
	has_a_limit(f, LANE_BULK, 1);
	assert_string_equal(f->trace, "sss");
}

static void every_job_is_done_once_even_if_the_loop_ends_first(void **state)
{
	struct fixture *f = *state;
	struct work running, queued[NSM_QUEUE], late;
	sem_t gate, begun;
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	work(&running, f, 'r');
	running.gate = &gate;
	running.begun = &begun;
	assert_int_equal(loop_submit(f->l, LANE_NSM, &running.job, &f->w), ERR_OK);
	sem_wait(&begun);
	for (int i = 0; i < NSM_QUEUE; i++) {
		work(&queued[i], f, 'q');
		assert_int_equal(loop_submit(f->l, LANE_NSM, &queued[i].job, &f->w), ERR_OK);
	}
	sem_post(&gate);
	loop_end_jobs(f->l);
	assert_true(running.ran);
	assert_string_equal(f->trace, "rqq");
	assert_int_equal(loop_jobs(f->l, LANE_NSM), 0);
	work(&late, f, 'l');
	assert_int_equal(loop_submit(f->l, LANE_NSM, &late.job, &f->w), ERR_BUSY);
	loop_end_jobs(f->l); /* more than once is fine, and so is freeing after it */
	assert_string_equal(f->trace, "rqq");
}

/* ---- the guest ---- */

struct guest {
	struct fixture *f;
	int64_t wait;
	int resumes; /* end_turn says so this often */
};

static int64_t guest_wait(void *ctx)
{
	return ((struct guest *)ctx)->wait;
}
static void guest_run(void *ctx)
{
	note(((struct guest *)ctx)->f, 'R');
}
static bool guest_end(void *ctx)
{
	struct guest *g = ctx;
	note(g->f, 'E');
	return g->resumes-- > 0;
}
static void guest_flush(void *ctx)
{
	note(((struct guest *)ctx)->f, 'F');
}

static void a_turn_has_its_order_and_at_most_two_passes(void **state)
{
	struct fixture *f = *state;
	struct guest g = {f, -1, 0};
	struct ticker k[1];
	struct ear e;
	loop_set_guest(f->l, (struct loop_guest){&g, guest_wait, guest_run, guest_end, guest_flush});
	tickers(k, f, "t");
	ear(&e, f, 'e');
	say(&e);
	loop_timer_arm(f->l, &k[0].t, 0);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "etREF");
	g.resumes = 1;
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "etREFREREF");
	g.resumes = 100;
	memset(f->trace, 0, sizeof f->trace);
	loop_turn(f->l, 0);
	assert_string_equal(f->trace, "REREF");
	assert_int_equal(g.resumes, 98);
	loop_io_del(f->l, &e.io);
	shut(&e);
	loop_set_guest(f->l, (struct loop_guest){0});
}

static void the_guest_may_shorten_the_wait(void **state)
{
	struct fixture *f = *state;
	struct guest g = {f, 0, 0};
	loop_set_guest(f->l, (struct loop_guest){&g, guest_wait, guest_run, guest_end, guest_flush});
	loop_turn(f->l, -1);
	g.wait = 1;
	loop_turn(f->l, -1);
	assert_string_equal(f->trace, "REFREF");
	loop_set_guest(f->l, (struct loop_guest){0});
}

static void on_last_tick(struct loop_timer *t)
{
	struct ticker *k = t->ctx;
	loop_stop(k->f->l);
}

static void the_loop_runs_until_it_is_stopped(void **state)
{
	struct fixture *f = *state;
	struct ticker k[1];
	tickers(k, f, "t");
	k[0].t.fire = on_last_tick;
	loop_timer_arm(f->l, &k[0].t, 0);
	loop_run(f->l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timers_fire_in_order_of_time_then_of_arming),
		TEST(a_timer_fires_at_its_time_and_not_before),
		TEST(arming_again_moves_a_timer),
		TEST(a_disarmed_timer_does_not_fire),
		TEST(a_timer_may_disarm_another_that_is_due),
		TEST(a_timer_may_free_what_it_is_embedded_in),
		TEST(a_timer_that_arms_itself_for_now_fires_once_a_turn),
		TEST(a_due_timer_ends_the_wait),
		TEST(a_readable_descriptor_is_told_once_a_turn),
		TEST(removing_a_descriptor_drops_its_events_of_this_turn),
		TEST(more_descriptors_than_a_turn_takes_are_all_served),
		TEST(a_bad_descriptor_is_an_error),
		TEST(signals_come_on_the_loop_with_their_number),
		TEST(hooks_have_a_limit),
		TEST(jobs_run_elsewhere_and_are_done_here),
		TEST(the_nsm_lane_keeps_its_order),
		TEST(a_stuck_nsm_holds_up_nobody_but_itself),
		TEST(urgent_jobs_go_before_those_that_are_not),
		TEST(the_other_lanes_have_a_limit_too),
		TEST(long_work_holds_up_nobody_but_itself),
		TEST(every_job_is_done_once_even_if_the_loop_ends_first),
		TEST(a_turn_has_its_order_and_at_most_two_passes),
		TEST(the_guest_may_shorten_the_wait),
		TEST(the_loop_runs_until_it_is_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
