#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum err secret_set(struct secret *s, struct bytes x, struct why *w)
{
	if (x.n > SECRET_MAX)
		return why_set(w, ERR_INTERNAL, "a secret of %zu bytes is longer than the maximum of %d", x.n,
			       SECRET_MAX);
	if (x.n > 0)
		memmove(s->b, x.p, x.n);
	mem_wipe(s->b + x.n, SECRET_MAX - x.n);
	s->n = x.n;
	return ERR_OK;
}

struct bytes secret_view(const struct secret *s)
{
	return bytes_of(s->b, s->n);
}

bool secret_equal(struct bytes a, struct bytes b)
{
	uint8_t differ = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		differ |= a.p[i] ^ b.p[i];
		/* Without it the compiler may leave the loop once the answer is settled. */
		__asm__ volatile("" : "+r"(differ));
	}
	return differ == 0;
}

void secret_wipe(struct secret *s)
{
	if (s != NULL)
		mem_wipe(s, sizeof *s);
}

enum err secret_new_locked(struct secret **out, struct why *w)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	enum err e = ERR_OK;
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return why_set(w, ERR_MEMORY, "no page of memory for a key: %s", strerror(errno));
	if (mlock(page, size) != 0) {
		e = why_set(w, ERR_ENVIRONMENT,
			    "a key's page cannot be locked into memory: %s; raise the limit with LimitMEMLOCK= in "
			    "the systemd unit or with ulimit -l",
			    strerror(errno));
		goto out;
	}
	if (madvise(page, size, MADV_DONTDUMP) != 0) {
		e = why_set(w, ERR_ENVIRONMENT, "a key's page cannot be left out of core dumps: %s", strerror(errno));
		goto out;
	}
	/* A child of fork never needs the key; a kernel that cannot do it only loses this extra. */
	(void)madvise(page, size, MADV_WIPEONFORK);
	*out = page;
	page = NULL;
out:
	if (page != NULL)
		munmap(page, size);
	return e;
}

void secret_free_locked(struct secret *s)
{
	if (s == NULL)
		return;
	secret_wipe(s);
	munmap(s, (size_t)sysconf(_SC_PAGESIZE));
}
