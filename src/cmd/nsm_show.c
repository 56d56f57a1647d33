/* nsm_show.c - what the NSM says of itself, for a person or as JSON. */
#include "nsm_show.h"

#include <stdio.h>

#include "base/encode.h"
#include "json.h"

/* "0-15, 20", or "none" */
static void put_ranges(struct buf *out, uint32_t mask)
{
	const char *comma = "";
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if ((mask >> i & 1u) == 0)
			continue;
		unsigned last = i;
		while (last + 1 < NSM_PCRS_MAX && (mask >> (last + 1) & 1u) != 0)
			last++;
		buf_printf(out, "%s%u", comma, i);
		if (last > i)
			buf_printf(out, "-%u", last);
		comma = ", ";
		i = last;
	}
	buf_put_str(out, mask == 0 ? "none" : "");
}

static void put_dummy(struct buf *out, const struct nsm *n)
{
	if (!nsm_is_dummy(n))
		return;
	JSON_PUT_KEY(out, "dummy");
	json_put_bool(out, true);
}

static void describe_as_json(struct buf *out, const struct nsm *n, const char *version, const struct nsm_description *d)
{
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "nsm");
	json_put_cstr(out, nsm_name(n));
	put_dummy(out, n);
	JSON_PUT_KEY(out, "version");
	json_put_cstr(out, version);
	JSON_PUT_KEY(out, "module_id");
	json_put_cstr(out, d->module_id);
	JSON_PUT_KEY(out, "digest");
	json_put_cstr(out, d->digest);
	JSON_PUT_KEY(out, "max_pcrs");
	json_put_int(out, d->max_pcrs);
	JSON_PUT_KEY(out, "locked_pcrs");
	nsm_pcrs_json(d->locked_pcrs, out);
	buf_put_str(out, "}\n");
}

void nsm_show_description(struct buf *out, bool json, const struct nsm *n, const struct nsm_description *d)
{
	char version[32];
	(void)snprintf(version, sizeof version, "%u.%u.%u", d->version_major, d->version_minor, d->version_patch);
	if (json) {
		describe_as_json(out, n, version, d);
		return;
	}
	buf_printf(out, "nsm:        %s\nversion:    %s\nmodule id:  ", nsm_name(n), version);
	buf_put_plain(out, bytes_str(d->module_id));
	buf_printf(out, "\ndigest:     %s\nPCRs:       %u\nlocked:     ", d->digest, d->max_pcrs);
	put_ranges(out, d->locked_pcrs);
	buf_put_str(out, nsm_is_dummy(n) ? "\nAll of this is invented: there is no NSM.\n" : "\n");
}

void nsm_show_pcr(struct buf *out, bool json, const struct nsm *n, unsigned index, struct bytes value, bool locked)
{
	const bool zero = bytes_is_zero(value);
	if (!json) {
		buf_printf(out, "PCR%-2u  %-8s  ", index, locked ? "locked" : "unlocked");
		buf_put_hex(out, value);
		buf_put_str(out, zero ? "  all zeros" : "");
		buf_put_str(out, nsm_is_dummy(n) ? "  invented\n" : "\n");
		return;
	}
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "index");
	json_put_int(out, index);
	put_dummy(out, n);
	JSON_PUT_KEY(out, "locked");
	json_put_bool(out, locked);
	JSON_PUT_KEY(out, "zero");
	json_put_bool(out, zero);
	JSON_PUT_KEY(out, "value");
	json_put_hex(out, value);
	buf_put_str(out, "}");
}
