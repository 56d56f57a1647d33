/* harden.c - a process that holds keys leaves none behind. */
#include "harden.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum err harden(struct why *w)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) != 0)
		return why_set(w, ERR_ENVIRONMENT, "cannot forbid core dumps: %s", strerror(errno));
#if !defined(__SANITIZE_ADDRESS__) /* its leak checker traces the process, which this forbids */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return why_set(w, ERR_ENVIRONMENT, "cannot make the process undumpable: %s", strerror(errno));
#endif
	return ERR_OK;
}
