/* fake_nsm.h - an NSM that gives the replies it was told to give, in turn, and keeps the last request. */
#ifndef ATTESTD_TEST_FAKE_NSM_H
#define ATTESTD_TEST_FAKE_NSM_H

#include <string.h>

#include "nsm/ops.h"

struct fake {
	uint8_t request[NSM_REQUEST_MAX];
	size_t request_n;
	struct bytes replies[4];
	size_t next;
	unsigned calls;
	struct bytes (*answer)(void *ctx, struct bytes request); /* instead of replies */
	void *ctx;
};

static struct fake *fake_current;

static enum err fake_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	(void)env;
	(void)address;
	(void)w;
	*state = fake_current;
	return ERR_OK;
}

static enum err fake_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	struct fake *f = state;
	f->calls++;
	memcpy(f->request, request.p, request.n);
	f->request_n = request.n;
	buf_put_bytes(reply, f->answer != NULL ? f->answer(f->ctx, request) : f->replies[f->next]);
	if (f->next < 3 && f->replies[f->next + 1].p != NULL)
		f->next++;
	return buf_check(reply, w);
}

static void fake_close(void *state)
{
	(void)state;
}

static const struct nsm_ops fake_ops = {"fake", fake_open, fake_call, fake_close};

static struct nsm *fake_nsm(struct fake *f)
{
	struct nsm *n = NULL;
	struct why w;
	fake_current = f;
	return nsm_open_ops(&n, &fake_ops, NULL, "", &w) == ERR_OK ? n : NULL;
}

#endif
