/* instructions.c - how whoever receives a reply can check it without trusting the server that sent it. */
#include "attest.h"

#include <stdio.h>

static const char summary[] =
	"Trust only what stands inside the signed document; the reply's other members are copies for convenience. Every "
	"step must succeed.";

static void put_step(struct buf *out, const char *text)
{
	if (out->n > 0 && out->p[out->n - 1] != '[')
		buf_put_u8(out, ',');
	json_put_cstr(out, text);
}

static void put_common(struct buf *out)
{
	put_step(out,
		 "If the reply has no attestation_document.document, or carries _warning, stop: it proves nothing.");
	put_step(
		out,
		"Decode attestation_document.document from base64. It is a COSE_Sign1 structure (RFC 9052). Check its ES384 "
		"signature with the certificate in its payload, and that certificate's chain through cabundle up to the AWS Nitro "
		"Enclaves root, which you got from AWS yourself: the SHA-256 of its DER form is "
		"641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b.");
	put_step(
		out,
		"Compare the payload's pcrs with those of the image that you expect: PCR0, or PCR1 and PCR2, or a PCR8 that is not "
		"zero. PCR2 alone does not tell images apart. If PCR0, PCR1 or PCR2 is all zeros the enclave runs in debug mode "
		"and its memory can be read from outside.");
	put_step(
		out,
		"The payload's nonce must be the very bytes of the nonce that you sent, as you decode it yourself. If you sent none, "
		"the document may be an old one.");
	put_step(
		out,
		"The payload's timestamp (milliseconds since 1970, from the NSM) must be recent: at most 300 seconds old.");
}

static void put_stated(struct buf *out, enum attest_purpose p)
{
	char text[320];
	(void)snprintf(
		text, sizeof text,
		"The payload's user_data must be a JSON object that begins with \"purpose\":\"%s\". Its other members "
		"are what the enclave's software says of itself; they are as trustworthy as the image that the PCRs "
		"name.",
		attest_purpose_name(p));
	put_step(out, text);
}

static void put_custom(struct buf *out)
{
	put_step(out,
		 "The SHA-256 of the custom data must equal custom_digest in user_data: "
		 "jq -j .custom_data_canonical reply.json | sha256sum. Then read the data from custom_data_canonical "
		 "(jq '.custom_data_canonical | fromjson' reply.json), which is the text that was hashed.");
}

static void put_key_exchange(struct buf *out)
{
	put_step(out,
		 "The payload's user_data must be a JSON object that begins with \"purpose\":\"key-exchange\", with "
		 "key_exchange_version \"1.1\" and the session_id of the reply.");
	put_step(
		out,
		"user_key_hash in user_data must be the SHA-256 of your own public key's SubjectPublicKeyInfo in DER form: "
		"openssl pkey -in private.pem -pubout -outform DER | sha256sum. If it differs, somebody put another key in place "
		"of yours.");
	put_step(
		out,
		"If you asked for a scope, scope_hash in user_data must be the SHA-256 of its UTF-8 bytes: printf %s "
		"\"$SCOPE\" | sha256sum. If you asked for none, there must be no scope_hash. Otherwise somebody tied your "
		"session to another conversation, in which the agent would read your messages out.");
	put_step(
		out,
		"Unwrap the session key (RSA-OAEP with SHA-256 for hash and MGF1, no label): "
		"jq -r .encrypted_session_key reply.json | base64 -d | openssl pkeyutl -decrypt -inkey private.pem -pkeyopt "
		"rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 > session.key");
	put_step(
		out,
		"The SHA-256 of the 32 bytes of the session key must equal session_key_hash in user_data: sha256sum session.key.");
	put_step(
		out,
		"Only then use the session: AES-256-GCM, 12-byte iv, the 16-byte tag at the end of ciphertext, no additional data. "
		"The first four bytes of an iv that the enclave sends are message_number, big-endian; it must grow.");
}

static void put_info(struct buf *out)
{
	put_step(out, "The payload's user_data must be a JSON object that begins with \"purpose\":\"info\".");
	put_step(
		out,
		"info_digest in user_data must be the SHA-256 of the exact bytes that GET /info answers: curl -s URL/info | sha256sum.");
}

static void put_tls(struct buf *out)
{
	put_step(out, "The payload's user_data must be a JSON object that begins with \"purpose\":\"tls\".");
	put_step(
		out,
		"tls_cert_hash in user_data must be the SHA-256 of the certificate (DER) of the very connection that you use, as your "
		"own TLS sees it, not as a reply says: openssl s_client -connect HOST:PORT </dev/null 2>/dev/null | openssl x509 "
		"-outform DER | sha256sum. tls_spki_hash is the same of its public key: openssl s_client -connect HOST:PORT "
		"</dev/null 2>/dev/null | openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum. If they differ, "
		"somebody in between ends the TLS and reads along, or the certificate was renewed: ask again on the connection.");
	put_step(
		out,
		"No authority vouches for this certificate and none need to: the document does. key_origin must be memory: the key was "
		"made in the enclave and never leaves it. Where it is file, whoever made the file may have the key and read along.");
}

static void put_peer(struct buf *out)
{
	put_step(
		out,
		"The payload's user_data must be a JSON object that begins with \"purpose\":\"peer\" and has role \"server\".");
	put_step(
		out,
		"key_hash in user_data must be the SHA-256 of the public key (SubjectPublicKeyInfo in DER form) of the certificate that "
		"came with the document, and of the certificate that the mutual-TLS listener then shows: jq -r .certificate reply.json | "
		"openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum.");
	put_step(
		out,
		"peer_key_hash in user_data must be the same of your own key, and config_digest the SHA-256 of what `attestd config show "
		"--security` prints for your own configuration. Otherwise the report was made for somebody else, or the enclave is run "
		"in another way than yours.");
}

static void put_metadata(struct buf *out)
{
	put_step(
		out,
		"Agent metadata in user_data is stated, not measured. If user_data holds metadata_digest instead, it is the SHA-256 "
		"of the canonical form (Python's json.dumps(value, sort_keys=True)) of the reply's metadata.");
}

void attest_instructions(enum attest_purpose p, bool custom_data, struct buf *out)
{
	buf_put_u8(out, '{');
	JSON_PUT_KEY(out, "summary");
	json_put_cstr(out, summary);
	JSON_PUT_KEY(out, "steps");
	buf_put_u8(out, '[');
	put_common(out);
	if (p == ATTEST_KEY_EXCHANGE)
		put_key_exchange(out);
	else if (p == ATTEST_INFO)
		put_info(out);
	else if (p == ATTEST_TLS)
		put_tls(out);
	else if (p == ATTEST_PEER)
		put_peer(out);
	else
		put_stated(out, p);
	if (custom_data)
		put_custom(out);
	/* These attest no metadata. */
	if (p != ATTEST_KEY_EXCHANGE && p != ATTEST_TLS && p != ATTEST_PEER)
		put_metadata(out);
	buf_put_u8(out, ']');
	buf_put_u8(out, '}');
}
