/* pcr.c - a PCR's number and value, as people write them. */
#include "nsm.h"

#include <string.h>

#include "base/encode.h"

_Static_assert(NSM_PCR_SIZE == 48 && NSM_PCRS_MAX == 32, "messages speak of 96 hex digits, and of 0 to 31");

/* One spelling only: no sign, no leading zeros. */
bool nsm_pcr_index(struct bytes text, unsigned *out)
{
	unsigned v = 0;
	if (text.n == 0 || text.n > 2 || (text.p[0] == '0' && text.n > 1))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = 10 * v + (unsigned)(text.p[i] - '0');
	}
	if (v >= NSM_PCRS_MAX)
		return false;
	*out = v;
	return true;
}

void nsm_pcrs_json(uint32_t set, struct buf *out)
{
	const char *comma = "";
	buf_put_str(out, "[");
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if ((set >> i & 1u) == 0)
			continue;
		buf_printf(out, "%s%u", comma, i);
		comma = ",";
	}
	buf_put_str(out, "]");
}

enum err nsm_pcr_value(unsigned index, struct bytes hex, uint8_t out[NSM_PCR_SIZE], const char *field, struct why *w)
{
	uint8_t value[NSM_PCR_SIZE];
	size_t n = 0;
	if (hex.n != HEX_SIZE(NSM_PCR_SIZE) || !hex_decode(hex, value, &n))
		return why_tell(
			w, ERR_INVALID, field,
			"The value of PCR%u is not 96 hex digits (a SHA-384), as nitro-cli build-enclave prints them; "
			"it has %zu character%s.",
			index, hex.n, hex.n == 1 ? "" : "s");
	memcpy(out, value, sizeof value);
	return ERR_OK;
}

enum err nsm_pcr_parse(struct bytes text, unsigned *index, uint8_t value[NSM_PCR_SIZE], struct why *w)
{
	const uint8_t *sign = text.n == 0 ? NULL : memchr(text.p, '=', text.n);
	const size_t n = sign == NULL ? 0 : (size_t)(sign - text.p);
	unsigned i = 0;
	if (!nsm_pcr_index(bytes_of(text.p, n), &i))
		return why_tell(
			w, ERR_INVALID, "pcr",
			"A PCR is given as N=HEX, where N is its number from 0 to 31 and HEX its value in 96 hex digits.");
	const enum err e = nsm_pcr_value(i, bytes_of(sign + 1, text.n - n - 1), value, "pcr", w);
	if (e == ERR_OK)
		*index = i;
	return e;
}
