/* cose.c - the Sig_structure, the same for who signs and who verifies. */
#include "cose.h"

#include "cborio.h"

void cose_to_be_signed(struct bytes protected_header, struct bytes payload, struct buf *out)
{
	cborio_put_array(out, 4);
	cborio_put_cstr(out, "Signature1");
	cborio_put_bytes(out, protected_header);
	cborio_put_bytes(out, bytes_of(NULL, 0));
	cborio_put_bytes(out, payload);
}
