/* Kube client.  A request is an HTTP request with our credentials, and its answer a word that a caller can
 * act on.  Tokens and CA bundles are read again when they may have changed: the kubelet replaces them by a
 * symlink swap, so they are opened by path each time, and an unreadable or empty one leaves the last good one
 * in force.
 *
 *     kube_start -> credentials fresh? -> http_start -> (401, once: read the token again and ask again) ->
 * judge -> on_end, once */
#include "config.h"

#include "common/kube_client.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE      "kube"
#define CLIENT_MAGIC    MAGIC('k', 'u', 'b', 'e')
#define DEFAULT_TIMEOUT 30000
#define DEFAULT_BODY    (4u << 20)
#define TOKEN_BYTES     65536
#define CA_BYTES        (1u << 20)
#define CREDENTIALS_MS  60000 /* W2-40 */
#define STATUS_BYTES    65536 /* of an answer that is looked at for a Status */

struct kube_client {
	unsigned magic;
	struct http *http;
	const struct kube_config *config;
	char *base;       /* of all URLs */
	char *connect_to; /* where the certificate's name is another one than the address */
	struct http_peer peer;
	char *token;      /* in force; NULL = none */
	char *ca;         /* PEM in force; NULL = the system's */
	uint64_t read_ms; /* when credentials were looked at last */
	bool was_read;
	struct kube_request *requests;
	struct kube_client_counts counts;
};

struct kube_request {
	struct kube_client *client;
	struct kube_call call;
	struct http_peer peer; /* with this request's time limit */
	char *path;
	char *content_type;
	char *body;
	struct http_request *http;
	bool was_repeated; /* after a 401 */
	struct kube_request *prev, *next;
};

/* ---- credentials --------------------------------------------------------------------------------------- */

/* Replaces *text if the file holds something else; the last good one stays if it cannot be read or is empty.
 */
static bool read_again(const char *path, size_t limit, char **text)
{
	struct err err = {.code = 0};
	bool is_new = false;
	struct buf now;

	if (path == NULL)
		return false;
	buf_init(&now, limit);
	if (file_read_secret(path, &now, &err) < 0)
		log_warn(
		    "cannot read credentials, the last ones stay in force", "error=%s", log_quote(err.text));
	else if (now.len == 0)
		log_warn("a file of credentials is empty, the last ones stay in force", "path=%s",
		    log_quote(path));
	else if (*text == NULL || strcmp(*text, buf_text(&now)) != 0) {
		free(*text);
		*text = xstrdup(buf_text(&now));
		is_new = true;
	}
	buf_release(&now);
	return is_new;
}

static void read_credentials(struct kube_client *client, bool at_once)
{
	uint64_t now_ms = clock_monotonic_ms();
	bool is_new;

	if (client->was_read && !at_once && now_ms - client->read_ms < CREDENTIALS_MS)
		return;
	is_new =
	    read_again(client->config->token_file, TOKEN_BYTES, &client->token); /* wins over a fixed one */
	is_new = read_again(client->config->ca_data != NULL ? NULL : client->config->ca_file, CA_BYTES,
		     &client->ca) ||
		 is_new;
	client->peer.ca_pem = client->ca;
	client->counts.credentials_read += is_new;
	client->was_read = true;
	client->read_ms = now_ms;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

enum kube_result kube_judge(int status, const char *reason)
{
	if (status >= 200 && status < 300)
		return KUBE_OK;
	switch (status) {
	case 400:
	case 405:
	case 413:
	case 415:
	case 422: return KUBE_INVALID;
	case 401:
	case 403: return KUBE_FORBIDDEN;
	case 404: return KUBE_NOT_FOUND;
	case 409: return strcmp(reason, "AlreadyExists") == 0 ? KUBE_EXISTS : KUBE_CONFLICT;
	case 410: return KUBE_GONE;
	case 429: return KUBE_BUSY;
	default: return KUBE_FAILED;
	}
}

static void free_request(struct kube_request *request)
{
	DL_DELETE(request->client->requests, request);
	free(request->path);
	free(request->content_type);
	free(request->body);
	free(request);
}

static bool is_write(const struct kube_request *request)
{
	return strcmp(request->call.method, "GET") != 0;
}

static int send_request(struct kube_request *request, struct err *err);

/* W2-40: the token may have been replaced between two looks. */
static bool repeat(struct kube_request *request)
{
	if (request->was_repeated || request->client->config->token_file == NULL)
		return false;
	request->was_repeated = true;
	read_credentials(request->client, true);
	return send_request(request, NULL) == 0;
}

static const char *text_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) ? item->valuestring : "";
}

static void on_http_end(void *arg, const struct http_answer *answer)
{
	struct kube_request *request = arg;
	struct kube_client_counts *counts = &request->client->counts;
	struct kube_answer result = {.status = answer->status, .retry_after_ms = answer->retry_after_ms};
	bool is_ok = answer->status >= 200 && answer->status < 300;
	cJSON *status = NULL;
	char plain[64];

	request->http = NULL;
	if (answer->status == 0 && !answer->connected)
		request->client->was_read =
		    false; /* the authority may have been replaced: look before the next one */
	(void)snprintf(plain, sizeof plain, "the server answered %d and gave no reason", answer->status);
	if (answer->status == 401 && repeat(request))
		return;
	if (!is_ok && answer->body != NULL && answer->body_len <= STATUS_BYTES)
		status = cJSON_ParseWithLength(answer->body, answer->body_len);
	result.reason = text_of(status, "reason");
	result.message = answer->status == 0 ? answer->error : text_of(status, "message");
	if (result.message == NULL || result.message[0] == '\0')
		result.message = is_ok ? "fine" : plain;
	result.result = kube_judge(answer->status, result.reason);
	result.unknown =
	    is_write(request) && (answer->status == 0 ? answer->connected : answer->status >= 500);
	if (request->call.on_chunk == NULL || !is_ok) {
		result.body = answer->body;
		result.body_len = answer->body_len;
	}
	counts->requests++;
	counts->failed += result.result == KUBE_FAILED;
	counts->busy += result.result == KUBE_BUSY;
	request->call.on_end(request->call.arg, &result);
	cJSON_Delete(status);
	free_request(request);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static bool on_http_chunk(void *arg, const char *bytes, size_t len)
{
	const struct kube_request *request = arg;

	return request->call.on_chunk(request->call.arg, bytes, len);
}

static int send_request(struct kube_request *request, struct err *err)
{
	struct kube_client *client = request->client;
	const struct kube_call *call = &request->call;
	char *url = xasprintf("%s%s", client->base, request->path);
	char *authorization =
	    client->token != NULL ? xasprintf("Authorization: Bearer %s", client->token) : NULL;
	char *content_type = xasprintf("Content-Type: %s", request->content_type);
	const char *headers[4] = {"Accept: application/json"};
	struct http_call http_call = {
	    .method = call->method,
	    .url = url,
	    .headers = headers,
	    .body = request->body,
	    .body_len = call->body_len,
	    .username = client->config->username,
	    .password = client->config->password,
	    .peer = &request->peer,
	    .body_limit = call->body_limit != 0 ? call->body_limit : DEFAULT_BODY,
	    .idle_ms = call->idle_ms,
	    .on_chunk = call->on_chunk != NULL ? on_http_chunk : NULL,
	    .on_end = on_http_end,
	    .arg = request,
	};
	size_t count = 1;
	int ret;

	if (request->body != NULL)
		headers[count++] = content_type;
	if (authorization != NULL)
		headers[count++] = authorization;
	request->peer = client->peer;
	request->peer.timeout_ms = call->timeout_ms == KUBE_NO_TIMEOUT ? 0
				   : call->timeout_ms != 0             ? call->timeout_ms
								       : DEFAULT_TIMEOUT;
	ret = http_start(client->http, &http_call, &request->http, err);
	free(url);
	free(authorization);
	free(content_type);
	return ret;
}

int kube_start(struct kube_client *client, const struct kube_call *call, struct kube_request **ret_request,
    struct err *err)
{
	struct kube_request *request = x_new(request);
	int ret;

	must(client->magic == CLIENT_MAGIC);
	read_credentials(client, false);
	request->client = client;
	request->call = *call;
	request->path = xstrdup(call->path);
	request->content_type = xstrdup(call->content_type != NULL ? call->content_type : "application/json");
	if (call->body != NULL) {
		request->body = xmalloc(call->body_len + 1);
		memcpy(request->body, call->body, call->body_len);
	}
	DL_APPEND(client->requests, request);
	ret = send_request(request, err);
	if (ret < 0) {
		free_request(request);
		return ret;
	}
	if (ret_request != NULL)
		*ret_request = request;
	return 0;
}

void kube_cancel(struct kube_request *request)
{
	if (request->http != NULL)
		http_cancel(request->http);
	free_request(request);
}

struct kube_client_counts kube_client_counts(const struct kube_client *client)
{
	return client->counts;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

/* "https://10.0.0.1:6443/p" and the name "kubernetes" -> "https://kubernetes:6443/p", to be connected to
 * at 10.0.0.1:6443. */
static void split_server(struct kube_client *client, const char *server, const char *name)
{
	const char *host = strstr(server, "://") + 3;
	size_t scheme_len = (size_t)(host - server), host_len = strcspn(host, "/");
	const char *bracket = memchr(host, ']', host_len);
	const char *colon = memchr(bracket != NULL ? bracket : host, ':',
	    host_len - (size_t)((bracket != NULL ? bracket : host) - host));
	const char *port = colon != NULL ? colon + 1 : scheme_len == sizeof "https://" - 1 ? "443" : "80";
	int port_len = colon != NULL ? (int)(host + host_len - port) : (int)strlen(port);
	int name_len = colon != NULL ? (int)(colon - host) : (int)host_len;

	client->base =
	    xasprintf("%.*s%s:%.*s%s", (int)scheme_len, server, name, port_len, port, host + host_len);
	client->connect_to = xasprintf("%.*s:%.*s", name_len, host, port_len, port);
}

int kube_client_new(struct kube_client **ret_client, uv_loop_t *loop, struct http *http,
    const struct kube_config *config, struct err *err)
{
	struct kube_client *client = x_new(client);

	(void)loop; /* of http */
	client->magic = CLIENT_MAGIC;
	client->http = http;
	client->config = config;
	if (config->server_name != NULL)
		split_server(client, config->server, config->server_name);
	else
		client->base = xstrdup(config->server);
	client->token = config->token != NULL ? xstrdup(config->token) : NULL;
	client->ca = config->ca_data != NULL ? xstrdup(config->ca_data) : NULL;
	client->peer = (struct http_peer){
	    .verify = !config->insecure,
	    .connect_to = client->connect_to,
	    .cert_file = config->cert_file,
	    .key_file = config->key_file,
	    .cert_pem = config->cert_data,
	    .key_pem = config->key_data,
	    .ca_pem = client->ca,
	};
	if (config->insecure)
		log_warn("certificates are not verified, as the configuration demands", "server=%s",
		    log_quote(config->server));
	read_credentials(client, true);
	if ((config->token_file != NULL && client->token == NULL) ||
	    (config->ca_file != NULL && client->ca == NULL)) {
		kube_client_close(client);
		return err_set(err, -ENOENT, "cannot read the credentials of the %s",
		    config->source != NULL ? config->source : "API server");
	}
	*ret_client = client;
	return 0;
}

void kube_client_close(struct kube_client *client)
{
	must(client->magic == CLIENT_MAGIC && client->requests == NULL);
	client->magic = 0;
	free(client->base);
	free(client->connect_to);
	free(client->token);
	free(client->ca);
	free(client);
}
