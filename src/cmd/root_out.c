/* root_out.c - a simulator's root certificate, where a verifier finds it. */
#include "root_out.h"

#include "cert.h"
#include "output_file.h"
#include "private_file.h"

enum err root_out_write(const char *path, struct bytes der, struct why *w)
{
	const struct output_file f = {
		.what = "the root certificate", .path = path, .kind = OUTPUT_CERTIFICATE, .mode = PUBLIC_MODE};
	struct buf pem = BUF_INIT(CERT_PEM_MAX);
	cert_pem_put(der, &pem);
	enum err e = buf_check(&pem, w);
	if (e == ERR_OK)
		e = output_file_write(&f, buf_bytes(&pem), w);
	buf_free(&pem);
	return e;
}
