/* cert_der.c - the fields of an X.509 certificate (RFC 5280), read from strict DER and only in the form that Nitro's
 * have. A reader of our own because OpenSSL's takes BER, repeated extensions and more. */
#include "internal.h"

#include <limits.h>

#define ECDSA_SHA384	      "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03" /* without parameters (RFC 5758 section 3.2) */
/* id-ecPublicKey, secp384r1, then a BIT STRING that begins an uncompressed point */
#define P384_POINT	      "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04"
#define OID_BASIC_CONSTRAINTS "\x55\x1d\x13"
#define OID_KEY_USAGE	      "\x55\x1d\x0f"

enum {
	TAG_VERSION = 0xa0,
	TAG_EXTENSIONS = 0xa3,
	POINT_SIZE = 96,
	EXTENSIONS_MAX = 16, /* genuine certificates have up to 5 */
};

struct reader {
	const char *who;
	struct cert_fields f;
	enum cert_fault *fault;
	struct why *w;
};

#define BAD(r, kind, text) (*(r)->fault = (kind), why_tell((r)->w, ERR_INVALID, NULL, "%s " text, (r)->who))

/* cA DEFAULT FALSE, pathLenConstraint OPTIONAL and only with cA */
static bool basic_constraints(struct bytes value, struct cert_fields *f)
{
	struct bytes in, v;

	if (!der_take(&value, DER_SEQUENCE, &in) || value.n > 0)
		return false;
	f->path_length = UINT_MAX;
	if (der_take(&in, DER_BOOLEAN, &v)) {
		if (v.p[0] == 0)
			return false;
		f->ca = true;
		if (der_take(&in, DER_INTEGER, &v)) {
			if (v.p[0] >= 0x80)
				return false;
			if (v.n == 1)
				f->path_length = v.p[0];
		}
	}
	return in.n == 0;
}

/* DER drops the zero bits at the end of named bits. */
static bool key_usage(struct bytes value, struct cert_fields *f)
{
	static const struct {
		unsigned bit, usage;
	} bits[] = {
		{0x80, CERT_DIGITAL_SIGNATURE},
		{0x40, CERT_NON_REPUDIATION},
		{0x04, CERT_CERT_SIGN},
		{0x02, CERT_CRL_SIGN},
	};
	struct bytes v;

	if (!der_take(&value, DER_BIT_STRING, &v) || value.n > 0 || v.n < 2 || v.n > 3 ||
	    (v.p[v.n - 1] >> v.p[0] & 1) == 0)
		return false;
	for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
		if ((v.p[1] & bits[i].bit) != 0)
			f->usage |= bits[i].usage;
	return true;
}

static enum err extension(struct reader *r, struct bytes oid, bool critical, struct bytes value)
{
	if (bytes_is(oid, OID_BASIC_CONSTRAINTS)) {
		if (!der_strict(value) || !basic_constraints(value, &r->f))
			return BAD(r, CERT_MALFORMED, "has a basicConstraints extension that is not in DER");
		r->f.has_constraints = true;
		r->f.constraints_critical = critical;
	} else if (bytes_is(oid, OID_KEY_USAGE)) {
		if (!der_strict(value) || !key_usage(value, &r->f))
			return BAD(r, CERT_MALFORMED, "has a keyUsage extension that is not in DER");
		r->f.has_usage = true;
	} else if (critical) {
		return BAD(
			r, CERT_CONSTRAINT,
			"has a critical extension other than basicConstraints and keyUsage, so its limits are not known");
	}
	return ERR_OK;
}

static enum err extensions(struct reader *r, struct bytes list)
{
	struct bytes seen[EXTENSIONS_MAX], entry, v, value;
	size_t n = 0;

	for (; list.n > 0; n++) {
		bool critical;
		enum err e;

		if (n == EXTENSIONS_MAX)
			return BAD(r, CERT_CONSTRAINT, "has more than 16 extensions");
		if (!der_take(&list, DER_SEQUENCE, &entry) || !der_take(&entry, DER_OID, &seen[n]))
			return BAD(r, CERT_MALFORMED, "has extensions that cannot be read");
		critical = der_take(&entry, DER_BOOLEAN, &v);
		if ((critical && v.p[0] == 0) || !der_take(&entry, DER_OCTET_STRING, &value) || entry.n > 0)
			return BAD(r, CERT_MALFORMED, "has an extension that is not in DER");
		for (size_t i = 0; i < n; i++)
			if (bytes_equal(seen[i], seen[n]))
				return BAD(r, CERT_CONSTRAINT, "has an extension twice, so it can be read in two ways");
		e = extension(r, seen[n], critical, value);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err public_key(struct reader *r, struct bytes spki)
{
	size_t head = sizeof P384_POINT - 1;

	if (spki.n != head + POINT_SIZE || !bytes_equal(bytes_of(spki.p, head), BYTES_LIT(P384_POINT)))
		return BAD(r, CERT_UNSUPPORTED,
			   "has a public key that is not an uncompressed point of the named curve P-384");
	return ERR_OK;
}

static enum err to_be_signed(struct reader *r, struct bytes in, struct bytes outer_algorithm)
{
	struct bytes version, v, algorithm, validity, spki, wrapped, list;
	enum err e;

	if (!der_take(&in, TAG_VERSION, &version) || !der_take(&version, DER_INTEGER, &v) || version.n > 0 ||
	    v.n != 1 || v.p[0] != 2)
		return BAD(r, CERT_MALFORMED, "is not of X.509 version 3");
	if (!der_take(&in, DER_INTEGER, &v) || v.p[0] >= 0x80 || v.n - (v.p[0] == 0) > CERT_SERIAL_MAX)
		return BAD(r, CERT_MALFORMED, "has a serial number that is negative or longer than 20 bytes");
	if (!der_take(&in, DER_SEQUENCE, &algorithm))
		return BAD(r, CERT_MALFORMED, "names no signature algorithm");
	if (!bytes_equal(algorithm, outer_algorithm))
		return BAD(r, CERT_MALFORMED, "names two different signature algorithms");
	if (!bytes_is(algorithm, ECDSA_SHA384))
		return BAD(r, CERT_UNSUPPORTED, "is not signed with ecdsa-with-SHA384");
	if (!der_take(&in, DER_SEQUENCE, &r->f.issuer))
		return BAD(r, CERT_MALFORMED, "names no issuer");
	if (!der_take(&in, DER_SEQUENCE, &validity) || !der_time(&validity, &r->f.not_before_s) ||
	    !der_time(&validity, &r->f.not_after_s) || validity.n > 0)
		return BAD(r, CERT_MALFORMED, "has a validity that is not two times in DER");
	if (!der_take(&in, DER_SEQUENCE, &r->f.subject))
		return BAD(r, CERT_MALFORMED, "names no subject");
	if (!der_take(&in, DER_SEQUENCE, &spki))
		return BAD(r, CERT_MALFORMED, "has no public key");
	e = public_key(r, spki);
	if (e != ERR_OK || in.n == 0)
		return e;
	if (!der_take(&in, TAG_EXTENSIONS, &wrapped) || in.n > 0 || !der_take(&wrapped, DER_SEQUENCE, &list) ||
	    wrapped.n > 0 || list.n == 0)
		return BAD(r, CERT_MALFORMED, "has something other than extensions behind its public key");
	return extensions(r, list);
}

enum err cert_fields_read(struct bytes der, const char *who, struct cert_fields *out, enum cert_fault *fault,
			  struct why *w)
{
	struct reader r = {.who = who, .fault = fault, .w = w};
	struct bytes whole, tbs, algorithm, signature;
	enum err e;

	if (der.n > CERT_DER_MAX) {
		*fault = CERT_MALFORMED;
		return why_tell(w, ERR_INVALID, NULL, "%s has %zu bytes; at most %d are allowed", who, der.n,
				CERT_DER_MAX);
	}
	if (!der_take(&der, DER_SEQUENCE, &whole))
		return BAD(&r, CERT_MALFORMED, "is not a complete X.509 certificate in DER");
	if (der.n > 0)
		return BAD(&r, CERT_MALFORMED, "has bytes behind its end");
	if (!der_strict(whole))
		return BAD(&r, CERT_MALFORMED, "is not in strict DER");
	if (!der_take(&whole, DER_SEQUENCE, &tbs) || !der_take(&whole, DER_SEQUENCE, &algorithm) ||
	    !der_take(&whole, DER_BIT_STRING, &signature) || whole.n > 0)
		return BAD(&r, CERT_MALFORMED, "does not have the three parts of an X.509 certificate");
	e = to_be_signed(&r, tbs, algorithm);
	if (e == ERR_OK)
		*out = r.f;
	return e;
}
