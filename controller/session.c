/* Session.  Turns the client's callbacks into calls that return: starts a request and lets the loop run until
 * it has ended.
 *
 * Stands below the commands, beside the controller, which never waits for anything.  Owns its loop, HTTP
 * client and credentials.  Repeats nothing: a person is there who can. */
#include "config.h"
#include "controller/session.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/event_stream.h"
#include "common/http.h"
#include "common/kube_config.h"
#include "common/must.h"

#define PAGE        500
#define REPLY_BYTES (16u << 20)
#define PATH_BYTES  65536

struct session {
	uv_loop_t loop;
	uv_timer_t timer;
	struct kube_config config;
	struct http *http;
	struct kube_client *client;
	/* the request under way */
	bool has_ended;
	struct session_reply *reply;
	struct list_stream *list;
	struct err *err; /* of the list's text */
	int list_status;
};

int session_open(
    struct session **ret_session, const char *kubeconfig, const char *context_name, struct err *err)
{
	struct session *session = x_new(session);
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	must(uv_loop_init(&session->loop) == 0);
	must(uv_timer_init(&session->loop, &session->timer) == 0);
	status = kube_config_load_context(&session->config, kubeconfig, context_name, getenv, err);
	if (status == 0)
		status = http_new(&session->http, &session->loop, "drave-controller/" PACKAGE_VERSION, err);
	if (status == 0)
		status =
		    kube_client_new(&session->client, &session->loop, session->http, &session->config, err);
	if (status != 0)
		session_close(session);
	else
		*ret_session = session;
	return status;
}

void session_close(struct session *session)
{
	if (session == NULL)
		return;
	if (session->client != NULL)
		kube_client_close(session->client);
	if (session->http != NULL)
		http_close(session->http);
	uv_close((uv_handle_t *)&session->timer, NULL);
	uv_run(&session->loop, UV_RUN_DEFAULT);
	must(uv_loop_close(&session->loop) == 0);
	kube_config_release(&session->config);
	free(session);
}

const char *session_namespace(const struct session *session)
{
	return session->config.namespace_name;
}

static void run(struct session *session)
{
	while (!session->has_ended)
		uv_run(&session->loop, UV_RUN_ONCE);
}

static void on_end(void *arg, const struct kube_answer *answer)
{
	struct session *session = arg;
	struct session_reply *reply = session->reply;

	session->has_ended = true;
	reply->result = answer->result;
	if (answer->result == KUBE_OK && session->list == NULL) {
		reply->tree = cJSON_ParseWithLength(answer->body, answer->body_len);
		if (reply->tree == NULL) {
			reply->result = KUBE_FAILED;
			reply->message = xstrdup("the answer is no JSON");
		}
	} else if (answer->result != KUBE_OK) {
		reply->message = xstrdup(answer->message);
	}
}

static void start(struct session *session, struct kube_call *call, struct session_reply *reply)
{
	struct kube_request *request;
	struct err err = {0};

	*reply = (struct session_reply){.result = KUBE_FAILED};
	session->reply = reply;
	session->has_ended = false;
	call->body_limit = REPLY_BYTES;
	call->on_end = on_end;
	call->arg = session;
	if (kube_start(session->client, call, &request, &err) != 0)
		reply->message = xstrdup(err.text);
	else
		run(session);
}

void session_ask(struct session *session, const char *method, const char *path, const char *content_type,
    const char *body, struct session_reply *ret_reply)
{
	struct kube_call call = {.method = method,
	    .path = path,
	    .content_type = content_type,
	    .body = body,
	    .body_len = body != NULL ? strlen(body) : 0};

	start(session, &call, ret_reply);
}

void session_reply_release(struct session_reply *reply)
{
	free(reply->message);
	cJSON_Delete(reply->tree);
	*reply = (struct session_reply){.result = KUBE_FAILED};
}

/* ---- lists
 * -------------------------------------------------------------------------------------------------------- */

static bool on_chunk(void *arg, const char *bytes, size_t len)
{
	struct session *session = arg;

	session->list_status = list_stream_feed(session->list, bytes, len, session->err);
	return session->list_status == 0;
}

/* One page; *token: of this one, then of the next, "" = none; replaced. */
static enum kube_result list_page(struct session *session, const char *path, char **token, struct err *err)
{
	struct session_reply reply;
	const char *version, *next = "";
	enum kube_result result;
	struct buf full;
	struct kube_call call = {.method = "GET", .on_chunk = on_chunk};

	buf_init(&full, PATH_BYTES);
	buf_printf(&full, "%s?limit=%d", path, PAGE);
	if ((*token)[0] != '\0') {
		buf_add_text(&full, "&continue=");
		session_add_escaped(&full, *token);
	}
	call.path = buf_text(&full);
	session->err = err;
	session->list_status = 0;
	start(session, &call, &reply);
	result = reply.result;
	if (session->list_status == 0 && result == KUBE_OK &&
	    list_stream_end(session->list, &version, &next, err) != 0)
		result = KUBE_FAILED;
	else if (session->list_status == 0 && result != KUBE_OK)
		(void)err_set(err, -EIO, "%s", reply.message);
	free(*token);
	*token = xstrdup(next);
	session_reply_release(&reply);
	buf_release(&full);
	return result;
}

enum kube_result session_list(struct session *session, const char *path,
    bool (*on_item)(void *arg, const struct cJSON *item), void *arg, struct err *err)
{
	char *token = xstrdup("");
	enum kube_result result;

	do {
		session->list = list_stream_new(on_item, arg);
		result = list_page(session, path, &token, err);
		list_stream_free(session->list);
		session->list = NULL;
	} while (result == KUBE_OK && token[0] != '\0');
	free(token);
	return result;
}

/* ---- the rest
 * ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

void session_sleep(struct session *session, uint64_t ms)
{
	session->has_ended = false;
	session->timer.data = &session->has_ended;
	uv_timer_start(&session->timer, on_timer, ms, 0);
	run(session);
}

void session_add_escaped(struct buf *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			buf_add(out, text, 1);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
	}
}
