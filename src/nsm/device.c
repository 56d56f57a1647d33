/* device.c - the NSM behind Linux's driver.
 *
 * The ABI is that of the upstream driver's include/uapi/linux/nsm.h, repeated here because Debian 12's kernel headers
 * are older than the driver. The driver takes one call at a time behind a lock of its own, so none is needed here.
 *
 * Each call opens the device anew. The driver frees what belongs to a device when it lets go of it, whoever has it
 * open, and a call on such a descriptor then crashes in the kernel (seen with Linux 6.12), which ends the thread that
 * made it.
 */
#include "nsm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct nsm_iovec {
	uint64_t addr; /* of our buffer */
	uint64_t len;
};

struct nsm_raw {
	struct nsm_iovec request, response;
};

#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)

_Static_assert(sizeof(struct nsm_iovec) == 16, "struct nsm_iovec is two __u64");
_Static_assert(offsetof(struct nsm_raw, response) == 16 && sizeof(struct nsm_raw) == 32, "struct nsm_raw has no holes");
_Static_assert(NSM_IOCTL_RAW == 0xC0200A00, "the number that the driver knows");

#ifdef ATTESTD_ENCLAVE
#define INSTEAD ""
#else
#define INSTEAD "; for development use nsm = simulator"
#endif

struct device {
	const char *path;
};

static const char *errno_name(int e)
{
	const char *name = strerrorname_np(e);
	return name != NULL ? name : "an unknown error";
}

static enum err device_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	const char *path = env->device_path;
	(void)address;
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return why_set(w, ERR_ENVIRONMENT,
			       "%s is missing: this is not a Nitro Enclave, or its kernel lacks the nsm driver" INSTEAD,
			       path);
	if (fd < 0)
		return why_set(
			w, ERR_ENVIRONMENT,
			"%s cannot be opened for reading and writing (%s): check its mode and the unit's sandbox", path,
			errno_name(errno));
	(void)close(fd);
	struct device *d = malloc(sizeof *d);
	if (d == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the NSM device");
	d->path = path;
	*state = d;
	return ERR_OK;
}

static enum err device_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	const struct device *d = state;
	if (request.n == 0 || request.n > NSM_REQUEST_MAX) /* an empty one makes the driver wait for two minutes */
		return why_set(w, ERR_INTERNAL, "an NSM request of %zu bytes is not between 1 and %d", request.n,
			       NSM_REQUEST_MAX);
	uint8_t *to = buf_reserve(reply, NSM_REPLY_MAX);
	if (to == NULL)
		return buf_check(reply, w);

	const int fd = open(d->path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return why_set(w, ERR_NSM, "%s cannot be opened any more (%s)", d->path, errno_name(errno));
	struct nsm_raw raw;
	int rc;
	do {
		raw = (struct nsm_raw){{(uintptr_t)request.p, request.n}, {(uintptr_t)to, NSM_REPLY_MAX}};
		rc = ioctl(fd, NSM_IOCTL_RAW, &raw);
	} while (rc < 0 && errno == EINTR);
	const int error = errno;
	(void)close(fd);
	if (rc < 0)
		return why_set(w, ERR_NSM, "the NSM device failed with %s", errno_name(error));
	if (raw.response.len > NSM_REPLY_MAX)
		return why_set(w, ERR_NSM, "the NSM device says that it wrote beyond the reply buffer");
	reply->n += (size_t)raw.response.len;
	return ERR_OK;
}

static void device_close(void *state)
{
	free(state);
}

const struct nsm_ops nsm_device = {"device", device_open, device_call, device_close};
