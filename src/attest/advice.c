/* advice.c - what to do next, for each verdict. */
#include "advice.h"

#include <string.h>

#include "base/encode.h"
#include "page.h"

/* A switch without a default: the compiler finds the code that was forgotten. */
static const char *after_failure(const struct verify_verdict *d, enum verify_code c)
{
	switch (c) {
	case VERIFY_INPUT_UNKNOWN:
		return "Give the document as raw bytes, base64 or hex, or a whole reply of the server as it came; --format "
		       "says which it is.";
	case VERIFY_INPUT_TOO_LARGE:
		return "A document has at most 16 KiB: make sure that this is one, and not a file that holds it.";
	case VERIFY_REPLY_MALFORMED:
		return "Save the reply's body as it came, without its headers and unedited (curl -s ... >reply.json), and "
		       "try again.";
	case VERIFY_NO_DOCUMENT:
		return "Ask a server whose NSM signs: one inside an enclave (nsm = device), or for development nsm = "
		       "simulator. The dummy signs nothing.";
	case VERIFY_COSE_MALFORMED:
		return "Fetch the document anew and hand it over unchanged. If it stays so, what sent it is no Nitro Secure "
		       "Module: do not rely on it.";
	case VERIFY_ALGORITHM:
	case VERIFY_CERT_MALFORMED:
	case VERIFY_CERT_UNSUPPORTED:
	case VERIFY_CERT_CONSTRAINT:
		return "AWS's NSM makes no such document: do not rely on it, and find out who made it.";
	case VERIFY_PAYLOAD_MALFORMED:
		return "Do not rely on it: an NSM states every member of the payload once, in its type and size.";
	case VERIFY_NITROTPM:
		return "Ask an enclave for its document. One of a NitroTPM tells of an EC2 instance and has other registers; "
		       "it needs a verifier of its own.";
	case VERIFY_CHAIN_UNTRUSTED:
		if (!d->aws_root)
			return "The root that you gave is another one; a simulator makes a new root at each start: take its "
			       "file again.";
		return "If the document comes from a simulator of yours, give its root with --root FILE (nsm_root_out, "
		       "--root-out). If it should come from an enclave, do not rely on it: AWS did not sign it.";
	case VERIFY_CHAIN_BROKEN:
		return "Fetch the document anew and hand it over unchanged. If it stays so, do not rely on it: somebody put "
		       "the certificates together who was not AWS.";
	case VERIFY_SIGNATURE:
		return "Fetch the document anew and hand it over unchanged. If it stays so, do not rely on it: it was altered "
		       "after it was signed, or signed by somebody else.";
	case VERIFY_CERT_EXPIRED:
		return "Fetch a fresh document: certificates live for hours. To look at an old one as of its own time use --at "
		       "document; that says nothing about now.";
	case VERIFY_CERT_NOT_YET_VALID:
		if (d->historic)
			return "Judge it as of a later time: it was made after the one that --at says.";
		return "Set the clock of this machine. If it is right, do not rely on the document.";
	case VERIFY_TIMESTAMP_OUTSIDE:
		return "Do not rely on it: an NSM dates its documents within the validity of its certificates.";
	case VERIFY_TIMESTAMP_FUTURE:
		if (d->historic)
			return "Judge it as of its own time or a later one: it was made after the one that --at says.";
		return "Set the clock of this machine: it is behind the NSM's by more than a minute. If it is right, do not "
		       "rely on the document.";
	case VERIFY_TOO_OLD:
		return "Fetch a fresh document with a nonce of your own, or allow the age that you accept with --max-age "
		       "SECONDS.";
	case VERIFY_DEBUG:
		return "Run the enclave without --debug-mode. For development only, --allow-debug accepts it.";
	case VERIFY_PCR_MISSING:
		return "Compare the pins with the PCRs that the document holds. An enclave has PCR0 to PCR15, and others only "
		       "if its software extended them.";
	case VERIFY_PCR_MISMATCH:
		return "Do not talk to this enclave, unless its image was renewed: then get the new image's PCRs from its "
		       "publisher, not from the document, and pin those.";
	case VERIFY_NONCE_MISSING:
		return "Send the nonce with the request and verify the document that answers it: this one may be a copy of "
		       "an old one.";
	case VERIFY_NONCE_MISMATCH:
		return "Give the nonce that you sent, in the same encoding (hex:, base64: or text: in front decide). If it is "
		       "the same, this document answers somebody else's request: do not rely on it.";
	case VERIFY_USER_DATA_MISMATCH:
		return "Give the very bytes that should be attested (hex:, base64: or text: in front decide). If they are the "
		       "same, the enclave attests something else: do not rely on it.";
	case VERIFY_CLAIMS_MALFORMED:
	case VERIFY_CLAIMS_FORBIDDEN:
		return "Do not rely on it for this purpose: the enclave signed the user data for somebody else, or the agent's "
		       "metadata tries to pass for claims.";
	case VERIFY_PURPOSE_MISMATCH:
		return "Ask for a document of the purpose that you need: attestation and info come from /attestation, "
		       "key-exchange from /key-exchange.";
	case VERIFY_REPLY_MISMATCH:
	case VERIFY_CUSTOM_DATA_MISMATCH:
	case VERIFY_METADATA_MISMATCH:
		return "Throw the reply away: somebody changed it on its way, or its server is broken. What the document "
		       "itself holds was signed; the reply's other members were not.";
	case VERIFY_VERIFIED:
	case VERIFY_CODE_COUNT:
		break;
	}
	return "";
}

static bool has_pcr(const struct verify_verdict *d, unsigned i)
{
	return d->view.pcr[i].p != NULL && !bytes_is_zero(d->view.pcr[i]);
}

/* In one piece each, so that they can be copied. */
static void put_pins(const struct verify_verdict *d, struct buf *out)
{
	static const unsigned wanted[] = {0, 1, 2, 8};
	page_item(
		out,
		"Ask the image's publisher for its PCRs (nitro-cli build-enclave prints them), or build it yourself. If "
		"they are these, pin them next time; without that check they pin whatever answered you:");
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (!has_pcr(d, wanted[i]))
			continue;
		buf_printf(out, "      --pcr %u=", wanted[i]);
		buf_put_hex(out, d->view.pcr[wanted[i]]);
		buf_put_str(out, "\n");
	}
}

static void after_success(const struct verify_verdict *d, struct buf *out)
{
	const size_t before = out->n;
	if (!d->aws_root)
		page_item(out,
			  "Use this for development only: in production leave --root out, so that AWS's root counts.");
	if (d->debug)
		page_item(out, "Trust a debug enclave with nothing: run it without --debug-mode, then pin its PCRs.");
	else if (d->identity != VERIFY_COMPARED)
		put_pins(d, out);
	if (d->historic)
		page_item(out, "To rely on the enclave now, fetch a fresh document and verify it without --at.");
	else if (d->results[CHECK_NONCE] != CHECK_PASS)
		page_item(
			out,
			"Next time send a fresh nonce with the request (openssl rand -hex 32) and give it with --nonce.");
	if (strcmp(d->purpose, "key-exchange") == 0)
		page_item(
			out,
			"Before you use the session: user_key_hash above must be the SHA-256 of your own public key (openssl pkey "
			"-in private.pem -pubout -outform DER | sha256sum), and session_key_hash that of the session key that you "
			"unwrap. scope_hash must be that of the scope that you asked for, and missing if you asked for none.");
	if (strcmp(d->purpose, "info") == 0)
		page_item(
			out,
			"To rely on /info, compare info_digest above with its SHA-256 (curl -s URL/info | sha256sum).");
	if (out->n == before)
		page_item(out, "Nothing more. Rely on the signed values above, and on them alone.");
}

void advice_put(const struct verify_verdict *d, struct buf *out)
{
	if (d->good)
		after_success(d, out);
	for (int c = 0; c < CHECK_COUNT; c++)
		if (d->results[c] == CHECK_FAIL)
			page_item(out, "%s", after_failure(d, d->codes[c]));
}
