/* step.c - how an operation begins, goes from step to step, and is given up. */
#include "internal.h"

#include <stdlib.h>

void *api_new(struct http_req *r, size_t size)
{
	void *p = calloc(1, size);
	if (p == NULL) {
		struct why w = {0};
		(void)why_set(&w, ERR_MEMORY, "no memory for a request");
		http_fail(r, &w);
	}
	return p;
}

void *api_begin(void *app, struct http_req *r, size_t size, void (*drop)(struct http_job *j))
{
	struct api_op *op = api_new(r, size);
	if (op == NULL)
		return NULL;
	op->app = app;
	op->heavy = http_body_heavy(r);
	op->job.drop = drop;
	http_take_body(r, &op->body);
	return op;
}

void api_op_free(struct api_op *op)
{
	json_free(op->json);
	buf_free(&op->body);
	mem_wipe(&op->why, sizeof op->why); /* it may quote the request */
	free(op);
}

enum err api_parse(struct api_op *op, const struct json_field *f, size_t n)
{
	const enum err e = json_parse(&op->json, buf_bytes(&op->body), &op->why);
	buf_free(&op->body);
	return e != ERR_OK ? e : json_fields(json_root(op->json), f, n, &op->why);
}

void api_step(struct http_req *r, struct api_op *op, void (*work)(struct http_job *j),
	      void (*then)(struct http_req *r, struct http_job *j))
{
	if (op->heavy) {
		api_step_away(r, op, LANE_BULK, work, then);
		return;
	}
	op->away = false;
	work(&op->job);
	then(r, &op->job);
}

void api_step_away(struct http_req *r, struct api_op *op, enum loop_lane lane, void (*work)(struct http_job *j),
		   void (*then)(struct http_req *r, struct http_job *j))
{
	op->away = true;
	op->job.work = work;
	op->job.then = then;
	if (http_defer(r, lane, &op->job, 0, &op->why) != ERR_OK)
		api_abort(r, op);
}

bool api_wipe_away(struct api_op *op, void (*run)(struct loop_job *j), void (*done)(struct loop_job *j))
{
	struct loop_job *job = &op->job.job;
	struct why w = {0};
	job->run = run;
	job->done = done;
	job->urgent = true;
	return loop_submit(op->app->loop, LANE_BULK, job, &w) == ERR_OK;
}

void api_abort(struct http_req *r, struct api_op *op)
{
	http_fail(r, &op->why);
	op->job.drop(&op->job);
}
