/* openapi.c - GET /openapi.yaml: the API's description. */
#include "internal.h"

/* The exact bytes of openapi.yaml, put into the binary by the Makefile. */
extern const uint8_t openapi_yaml[], openapi_yaml_end[];

void api_openapi(void *app, struct http_req *r)
{
	(void)app;
	http_reply_static(r, "application/yaml", bytes_of(openapi_yaml, (size_t)(openapi_yaml_end - openapi_yaml)));
}
