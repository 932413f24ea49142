/* HTTP client.  libcurl tells which sockets it wants watched and when its timer is due; libuv watches and calls back.
 *
 *     http_start -> easy handle into the multi handle -> (loop) -> CURLMSG_DONE -> on_end, once
 *
 * Stands below the HTTP output and the API client.  Owns the multi handle, a pool of easy handles (their connections live in the multi handle's cache), and
 * requests until they end.  Refuses redirects, proxies from the environment, protocols other than http and https, TLS older than 1.2, and HTTP/2, whose uploads
 * Debian 12's libcurl has bugs with. */
#include "config.h"
#include "common/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/must.h"
#include "common/table.h"

#define HTTP_MAGIC       MAGIC('h', 't', 't', 'p')
#define POOL_LIMIT       16
#define HEAD_BYTES       65536             /* of an answer's head; a longer one ends the request */
#define BODY_READ_BYTES  (1u << 20)        /* of an answer's body that is read (and thrown away beyond HTTP_BODY_BYTES) before giving up */
#define RETRY_AFTER_MAX  (7 * 86400000ll)  /* a longer wish is absurd */
#define CONNECT_MS       10000
#define VANISHED_MS      30000
#define KEEPALIVE_S      15
#define READ_BYTES       4096              /* of an answer that is kept whole, at a time */
#define SEND_BYTES       16384             /* of a request that is no larger, at a time; the least that libcurl takes */
#define READ_BYTES_LONG  16384             /* libcurl's own sizes */
#define SEND_BYTES_LONG  65536

struct http {
	unsigned magic;
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	char *user_agent;
	struct http_request *requests;
	CURL *pool[POOL_LIMIT];
	size_t pool_count;
	unsigned socket_count; /* watched ones that are not closed yet */
	bool is_closing;
};

struct http_request {
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	struct http_call call;
	struct buf body;
	size_t body_seen;
	size_t head_seen;
	bool head_is_whole;    /* the blank line behind the last head came: libcurl takes a head that is cut for a whole one */
	int64_t retry_after_ms;
	char error[CURL_ERROR_SIZE];
	const char *own_error; /* why we ended it */
	struct http_request *prev, *next;
};

struct watched {
	struct http *http;
	curl_socket_t socket;
	uv_poll_t poll;
};

static struct http *http_of(void *pointer)
{
	struct http *http = pointer;

	must(http->magic == HTTP_MAGIC);
	return http;
}

/* ---- Retry-After -------------------------------------------------------------------------------------------------- */

int64_t http_parse_retry_after(const char *value, size_t len, int64_t now_s)
{
	char text[64];
	char *end;
	long long seconds;
	time_t date;

	while (len > 0 && (value[0] == ' ' || value[0] == '\t'))
		value++, len--;
	while (len > 0 && strchr(" \t\r\n", value[len - 1]) != NULL)
		len--;
	if (len == 0 || len >= sizeof text)
		return -1;
	memcpy(text, value, len);
	text[len] = '\0';
	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (*end != '\0') {
		date = curl_getdate(text, NULL);
		if (date == -1)
			return -1;
		seconds = (long long)date - now_s;
		if (seconds < 0)
			seconds = 0; /* a date that has passed: now */
	}
	if (errno != 0 || seconds < 0 || seconds > RETRY_AFTER_MAX / 1000)
		return -1;
	return seconds * 1000;
}

/* ---- what curl calls while a request runs -------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct http_request *request = arg;
	static const char name[] = "retry-after:";
	size_t len = size * count;

	request->head_seen += len;
	if (request->head_seen > HEAD_BYTES) {
		request->own_error = "the answer's head is too long";
		return 0;
	}
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		request->head_is_whole = false; /* the first head, or the one behind an interim answer */
	else if (len <= 2 && line[len - 1] == '\n')
		request->head_is_whole = true;
	if (len > sizeof name - 1 && strncasecmp(line, name, sizeof name - 1) == 0)
		request->retry_after_ms =
			http_parse_retry_after(line + sizeof name - 1, len - (sizeof name - 1), clock_wall_ns() / 1000000000);
	return len;
}

static bool is_success(const struct http_request *request)
{
	long status = 0;

	(void)curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_request *request = arg;
	size_t len = size * count, limit = request->body.limit, room = limit - request->body.len;

	if (request->call.on_chunk != NULL && is_success(request)) {
		if (request->call.on_chunk(request->call.arg, bytes, len))
			return len;
		request->own_error = "ended by the reader";
		return 0;
	}
	request->body_seen += len;
	if (request->body_seen > (request->call.body_limit != 0 ? limit : BODY_READ_BYTES)) {
		request->own_error = "the answer's body is too long";
		return 0;
	}
	must(buf_add(&request->body, bytes, len < room ? len : room));
	return len;
}

/* A peer that vanished without a word must not hold a connection longer than the request may last; a request without end (a watch) not longer than VANISHED_MS. */
static int on_socket_made(void *arg, curl_socket_t socket, curlsocktype purpose)
{
	const struct http_request *request = arg;
	unsigned timeout = request->call.peer->timeout_ms != 0 ? (unsigned)request->call.peer->timeout_ms : VANISHED_MS;

	(void)purpose;
	(void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout); /* the other limits stand behind it */
	return CURL_SOCKOPT_OK;
}

/* ---- ending ------------------------------------------------------------------------------------------------------- */

static void give_easy(struct http *http, CURL *easy)
{
	if (http->pool_count < POOL_LIMIT && !http->is_closing) {
		curl_easy_reset(easy);
		http->pool[http->pool_count++] = easy;
	} else {
		curl_easy_cleanup(easy);
	}
}

static void free_request(struct http_request *request)
{
	struct http *http = request->http;

	must(curl_multi_remove_handle(http->multi, request->easy) == CURLM_OK);
	DL_DELETE(http->requests, request);
	give_easy(http, request->easy);
	curl_slist_free_all(request->headers);
	curl_slist_free_all(request->connect_to);
	buf_release(&request->body);
	free(request);
}

static void end_request(struct http_request *request, CURLcode code)
{
	struct http_answer answer = {.retry_after_ms = request->retry_after_ms};
	curl_off_t uploaded = 0;
	long status = 0, head = 0;

	(void)curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
	(void)curl_easy_getinfo(request->easy, CURLINFO_REQUEST_SIZE, &head);
	answer.connected = head > 0; /* something of the request was sent */
	answer.bytes_sent = (uint64_t)uploaded + (uint64_t)head;
	if (code == CURLE_OK && status > 0 && request->head_is_whole) {
		answer.status = (int)status;
		answer.body = buf_text(&request->body);
		answer.body_len = request->body.len;
	} else if (request->own_error != NULL) {
		answer.error = request->own_error;
	} else if (code == CURLE_OK) {
		answer.error = "the answer's head was cut";
	} else {
		answer.error = request->error[0] != '\0' ? request->error : curl_easy_strerror(code);
	}
	request->call.on_end(request->call.arg, &answer);
	free_request(request);
}

static void end_finished(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct http_request *request;

		if (message->msg != CURLMSG_DONE)
			continue;
		must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request) == CURLE_OK);
		end_request(request, message->data.result);
	}
}

/* ---- sockets and timer --------------------------------------------------------------------------------------------- */

static void act(struct http *http, curl_socket_t socket, int flags)
{
	int running;

	must(curl_multi_socket_action(http->multi, socket, flags, &running) == CURLM_OK);
	end_finished(http);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watched *watched = poll->data;
	int flags = 0;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(watched->http, watched->socket, flags);
}

static void close_if_quiet(struct http *http);

static void on_poll_closed(uv_handle_t *handle)
{
	struct watched *watched = handle->data;
	struct http *http = watched->http;

	free(watched);
	http->socket_count--;
	close_if_quiet(http);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct http *http = http_of(arg);
	struct watched *watched = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL) {
			must(curl_multi_assign(http->multi, socket, NULL) == CURLM_OK);
			uv_poll_stop(&watched->poll);
			uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
		}
		return 0;
	}
	if (watched == NULL) {
		watched = x_new(watched);
		watched->http = http;
		watched->socket = socket;
		watched->poll.data = watched;
		must(uv_poll_init_socket(http->loop, &watched->poll, socket) == 0);
		must(curl_multi_assign(http->multi, socket, watched) == CURLM_OK);
		http->socket_count++;
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	must(uv_poll_start(&watched->poll, events, on_poll) == 0);
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	act(http_of(timer->data), CURL_SOCKET_TIMEOUT, 0);
}

/* curl asks for 0 from inside its own calls: the loop comes back to it, it is never entered twice. */
static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *http = http_of(arg);

	(void)multi;
	if (uv_is_closing((uv_handle_t *)&http->timer))
		return 0;
	if (timeout_ms < 0)
		uv_timer_stop(&http->timer);
	else
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* ---- starting ----------------------------------------------------------------------------------------------------- */

/* Options that a string or number of the caller can spoil; everything else is must(). */
struct setup {
	CURL *easy;
	CURLcode code;
};

#define SET(setup, option, value)                                                                                       \
	do {                                                                                                            \
		if ((setup)->code == CURLE_OK)                                                                          \
			(setup)->code = curl_easy_setopt((setup)->easy, (option), (value));                             \
	} while (0)

static void set_text(struct setup *setup, CURLoption option, const char *text)
{
	if (text != NULL)
		SET(setup, option, text);
}

static void set_blob(struct setup *setup, CURLoption option, const char *text)
{
	struct curl_blob blob = {.data = (void *)(uintptr_t)text, .flags = CURL_BLOB_COPY};

	if (text == NULL)
		return;
	blob.len = strlen(text);
	SET(setup, option, &blob);
}

static void set_identity(struct setup *setup, const struct http_peer *peer)
{
	SET(setup, CURLOPT_SSL_VERIFYPEER, peer->verify ? 1L : 0L);
	SET(setup, CURLOPT_SSL_VERIFYHOST, peer->verify ? 2L : 0L);
	if (peer->ca_file != NULL || peer->ca_pem != NULL)
		SET(setup, CURLOPT_CAPATH, NULL); /* the system's directory, which libcurl would believe beside them */
	set_text(setup, CURLOPT_CAINFO, peer->ca_file);
	set_text(setup, CURLOPT_SSLCERT, peer->cert_file);
	set_text(setup, CURLOPT_SSLKEY, peer->key_file);
	set_blob(setup, CURLOPT_CAINFO_BLOB, peer->ca_pem);
	set_blob(setup, CURLOPT_SSLCERT_BLOB, peer->cert_pem);
	set_blob(setup, CURLOPT_SSLKEY_BLOB, peer->key_pem);
}

static void set_transport(struct setup *setup, const struct http_peer *peer)
{
	SET(setup, CURLOPT_NOSIGNAL, 1L);
	SET(setup, CURLOPT_QUICK_EXIT, 1L); /* the end of a request does not wait, with the whole loop, for a name server that says nothing */
	SET(setup, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(setup, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(setup, CURLOPT_FOLLOWLOCATION, 0L);
	SET(setup, CURLOPT_PROXY, "");
	SET(setup, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(setup, CURLOPT_TCP_NODELAY, 1L);
	SET(setup, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(setup, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	SET(setup, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	set_identity(setup, peer);
	SET(setup, CURLOPT_TIMEOUT_MS, (long)peer->timeout_ms);
	SET(setup, CURLOPT_CONNECTTIMEOUT_MS, (long)(peer->connect_timeout_ms != 0 ? peer->connect_timeout_ms : CONNECT_MS));
}

/* libcurl lends each request 16 KiB to read into and, over TLS, 64 KiB to send from.  For short requests and answers less will do: thirty-two writes of pods at
 * once had 2.6 MB of such buffers, now 0.7; what was touched of them made 0.4 MiB of the resident memory.
 *
 * Both are told each time: whether a handle that is used again still has the buffers of its last request is libcurl's affair. */
static void set_buffers(struct setup *setup, const struct http_call *call)
{
	SET(setup, CURLOPT_BUFFERSIZE, call->on_chunk == NULL ? (long)READ_BYTES : (long)READ_BYTES_LONG);
	SET(setup, CURLOPT_UPLOAD_BUFFERSIZE, call->body_len <= SEND_BYTES ? (long)SEND_BYTES : (long)SEND_BYTES_LONG);
}

static void set_callbacks(struct setup *setup, struct http_request *request)
{
	SET(setup, CURLOPT_PRIVATE, request);
	SET(setup, CURLOPT_ERRORBUFFER, request->error);
	SET(setup, CURLOPT_HEADERFUNCTION, on_header);
	SET(setup, CURLOPT_HEADERDATA, request);
	SET(setup, CURLOPT_WRITEFUNCTION, on_body);
	SET(setup, CURLOPT_WRITEDATA, request);
	SET(setup, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	SET(setup, CURLOPT_SOCKOPTDATA, request);
}

static void set_request(struct setup *setup, struct http_request *request)
{
	const struct http_call *call = &request->call;

	SET(setup, CURLOPT_URL, call->url);
	SET(setup, CURLOPT_USERAGENT, request->http->user_agent);
	SET(setup, CURLOPT_HTTPHEADER, request->headers);
	if (request->connect_to != NULL)
		SET(setup, CURLOPT_CONNECT_TO, request->connect_to);
	if (call->idle_ms != 0) {
		SET(setup, CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(setup, CURLOPT_LOW_SPEED_TIME, (long)((call->idle_ms + 999) / 1000));
	}
	if (call->body != NULL) {
		SET(setup, CURLOPT_POST, 1L);
		SET(setup, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
		SET(setup, CURLOPT_POSTFIELDS, call->body);
	}
	if (strcmp(call->method, call->body != NULL ? "POST" : "GET") != 0)
		SET(setup, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->username != NULL) {
		SET(setup, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(setup, CURLOPT_USERNAME, call->username);
		SET(setup, CURLOPT_PASSWORD, call->password != NULL ? call->password : "");
	}
}

static void add_headers(struct http_request *request, const char *const *headers)
{
	for (size_t i = 0; headers != NULL && headers[i] != NULL; i++)
		must((request->headers = curl_slist_append(request->headers, headers[i])) != NULL);
	/* Without it libcurl asks before bodies of more than 1 MiB and waits up to a second for servers that do not answer. */
	must((request->headers = curl_slist_append(request->headers, "Expect:")) != NULL);
}

/* libcurl's notation: for any host and port of the URL, this one. */
static void add_connect_to(struct http_request *request, const char *connect_to)
{
	char *text;

	if (connect_to == NULL)
		return;
	text = xasprintf("::%s", connect_to);
	must((request->connect_to = curl_slist_append(NULL, text)) != NULL);
	free(text);
}

int http_start(struct http *http, const struct http_call *call, struct http_request **ret_request, struct err *err)
{
	struct http_request *request = x_new(request);
	struct setup setup;

	must(!http->is_closing);
	request->http = http;
	request->call = *call;
	request->retry_after_ms = -1;
	buf_init(&request->body, call->body_limit != 0 ? call->body_limit : HTTP_BODY_BYTES);
	request->easy = http->pool_count != 0 ? http->pool[--http->pool_count] : curl_easy_init();
	must(request->easy != NULL);
	add_headers(request, call->headers);
	add_connect_to(request, call->peer->connect_to);
	setup = (struct setup){request->easy, CURLE_OK};
	set_transport(&setup, call->peer);
	set_buffers(&setup, call);
	set_callbacks(&setup, request);
	set_request(&setup, request);
	if (setup.code != CURLE_OK) {
		err_set(err, -EINVAL, "cannot ask '%s': %s", call->url, curl_easy_strerror(setup.code));
		curl_slist_free_all(request->headers);
		curl_slist_free_all(request->connect_to);
		give_easy(http, request->easy);
		buf_release(&request->body);
		free(request);
		return -EINVAL;
	}
	if (call->peer->max_connections != 0)
		(void)curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)call->peer->max_connections);
	DL_APPEND(http->requests, request);
	must(curl_multi_add_handle(http->multi, request->easy) == CURLM_OK);
	if (ret_request != NULL)
		*ret_request = request;
	return 0;
}

void http_cancel(struct http_request *request)
{
	free_request(request);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

int http_new(struct http **ret_http, uv_loop_t *loop, const char *user_agent, struct err *err)
{
	struct http *http;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, -ENOMEM, "cannot start libcurl");
	http = x_new(http);
	http->magic = HTTP_MAGIC;
	http->loop = loop;
	http->user_agent = xstrdup(user_agent);
	http->multi = curl_multi_init();
	must(http->multi != NULL);
	must(uv_timer_init(loop, &http->timer) == 0);
	http->timer.data = http;
	must(curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
	must(curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK);
	must(curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK);
	must(curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK);
	*ret_http = http;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	free(http->user_agent);
	http->magic = 0;
	free(http);
	curl_global_cleanup();
}

static void close_if_quiet(struct http *http)
{
	if (http->is_closing && http->multi == NULL && http->socket_count == 0 && !uv_is_closing((uv_handle_t *)&http->timer))
		uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}

void http_close(struct http *http)
{
	must(!http->is_closing && http->requests == NULL);
	http->is_closing = true;
	while (http->pool_count != 0)
		curl_easy_cleanup(http->pool[--http->pool_count]);
	must(curl_multi_cleanup(http->multi) == CURLM_OK); /* closes kept connections; their sockets tell on_socket */
	http->multi = NULL;
	close_if_quiet(http);
}

const char *http_library(void)
{
	static char text[128];

	snprintf(text, sizeof text, "libcurl %s (%s)", curl_version_info(CURLVERSION_NOW)->version, curl_version_info(CURLVERSION_NOW)->ssl_version);
	return text;
}
