/* descriptors.c - how many files the process may have open. */
#include "descriptors.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

enum err descriptors_raise(uint64_t need, const char *setting, int64_t value, struct why *w)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return why_set(w, ERR_ENVIRONMENT, "getrlimit: %s", strerror(errno));
	if (files.rlim_cur >= need)
		return ERR_OK;
	files.rlim_cur = need;
	/* The kernel starts init with 4096, and in a bare enclave nobody raises that; root may. */
	if (files.rlim_max < need)
		files.rlim_max = need;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return ERR_OK;
	return why_set(w, ERR_ENVIRONMENT,
		       "%s = %" PRId64 " needs %" PRIu64 " file descriptors: raise the limit (ulimit -n, LimitNOFILE=) "
		       "or lower %s",
		       setting, value, need, setting);
}
