/* HTTP output.  A parcel is one POST; a complete answer with its status is the answer.
 *
 * Stands at the end of the road, above common/http.  Owns a request per parcel, and the secrets' texts, which are read again when their files change.  Does
 * not compress (the shipper did), does not retry (the shipper does), does not decide about single records (it cannot: an HTTP answer is about a whole body).
 *
 * The verdict on each status is one pure function, http_verdict. */
#include "config.h"
#include "outputs/http_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"
#include "outputs/template.h"

#define LOG_MODULE   "http_output"
#define OUTPUT_MAGIC MAGIC('h', 'o', 'u', 't')
#define SECRET_BYTES 65536
#define TEXT_BYTES   200 /* of an answer's body, in /status and the log */

struct http_options {
	char *url;
	int format;
	char *username;
	char *password_file;
	char *token_file;
	struct bind_list headers; /* "Name=value" */
	char *ca_file;
	char *cert_file;
	char *key_file;
	bool tls_verify;
	uint64_t timeout_ms;
	struct bind_range retry_backoff;
};

#define HTTP(field) offsetof(struct http_options, field)

static const char *check_url(const char *text)
{
	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		return "a URL begins with http:// or https://";
	if (strpbrk(text, " \t\r\n") != NULL)
		return "a URL has no blanks";
	return template_check(text);
}

static const char *check_header(const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text || strpbrk(text, "\r\n") != NULL)
		return "a header is header.Name = value, without line breaks";
	return template_check(equals + 1);
}

static const struct bind_row rows[] = {
	{.key = "url", .kind = BIND_TEMPLATE, .offset = HTTP(url), .required = true, .check = check_url,
		.help = "Where records are POSTed to; may hold {namespace} {pod} {container} {node} {uid} {stream} {date:FORMAT}, and in path and query "
			"{label:NAME:-TEXT} {annotation:NAME:-TEXT}.  Values are percent-encoded."},
	{.key = "format", .kind = BIND_WORD, .offset = HTTP(format), .words = format_words, .fallback = "ndjson",
		.later = "elasticsearch,loki,otlp,splunk,victorialogs,clickhouse,datadog",
		.help = "Shape of a body: one JSON object a line, or one JSON array."},
	{.key = "username", .kind = BIND_TEXT, .offset = HTTP(username), .help = "Name for basic authentication."},
	{.key = "password_file", .kind = BIND_SECRET_FILE, .offset = HTTP(password_file),
		.help = "File with the password for basic authentication; read again when it changes."},
	{.key = "token_file", .kind = BIND_SECRET_FILE, .offset = HTTP(token_file),
		.help = "File with a bearer token; read again when it changes."},
	{.key = "header.", .kind = BIND_PREFIX, .offset = HTTP(headers), .check = check_header,
		.help = "A further header, as header.X-Tenant = {namespace}; up to 33 of them.  One that cannot be filled (a label that the pod does not have) is not "
			"sent."},
	{.key = "ca_file", .kind = BIND_FILE, .offset = HTTP(ca_file), .help = "Authorities that the server's certificate is verified with.  Default: the system's."},
	{.key = "cert_file", .kind = BIND_FILE, .offset = HTTP(cert_file), .help = "Client certificate (PEM)."},
	{.key = "key_file", .kind = BIND_SECRET_FILE, .offset = HTTP(key_file), .help = "Its key (PEM)."},
	{.key = "tls_verify", .kind = BIND_BOOL, .offset = HTTP(tls_verify), .fallback = "on",
		.help = "off: neither chain nor name of the certificate are checked; anyone can read and drop the logs then."},
	{.key = "timeout", .kind = BIND_DURATION, .offset = HTTP(timeout_ms), .fallback = "30s", .min = 100, .max = 3600000,
		.help = "For a whole request with its answer."},
	{.key = "retry_backoff", .kind = BIND_DURATION_RANGE, .offset = HTTP(retry_backoff), .fallback = "1s..60s", .min = 1, .max = 3600000,
		.help = "Shortest and longest wait between tries; doubles with each failure."},
	{.key = NULL},
};

/* ---- the verdict -------------------------------------------------------------------------------------------------- */

struct answer http_verdict(int status)
{
	struct answer answer = {.kind = ANSWER_HOLD, .reason = "unexpected_status", .retry_after_ms = -1};

	if (status >= 200 && status <= 299)
		return (struct answer){.kind = ANSWER_SENT, .reason = "sent", .retry_after_ms = -1};
	switch (status) {
	case 0: return (struct answer){.kind = ANSWER_RETRY, .reason = "transport", .retry_after_ms = -1};
	case 400:
	case 422: return (struct answer){.kind = ANSWER_REJECTED, .reason = "invalid", .retry_after_ms = -1};
	case 413: return (struct answer){.kind = ANSWER_REJECTED, .reason = "too_large", .retry_after_ms = -1};
	case 401:
	case 403:
	case 407: answer.reason = "unauthorized"; return answer;
	case 404:
	case 421: answer.reason = "not_found"; return answer;
	case 408:
	case 425:
	case 429: return (struct answer){.kind = ANSWER_RETRY, .reason = "busy", .retry_after_ms = -1};
	default: break;
	}
	if (status >= 500 && status <= 599)
		return (struct answer){.kind = ANSWER_RETRY, .reason = "server_error", .retry_after_ms = -1};
	return answer;
}

/* ---- secrets ------------------------------------------------------------------------------------------------------ */

/* A file's text as it was at its last change.  Kubernetes changes mounted secrets by swapping a link, so the inode is looked at too. */
struct secret {
	const char *path; /* NULL: there is none */
	char *text;
	struct timespec changed;
	ino_t ino;
};

static void secret_refresh(struct secret *secret)
{
	struct stat info;
	struct buf text;
	struct err err;

	if (secret->path == NULL || stat(secret->path, &info) == -1)
		return; /* gone for a moment: the old one is still the best guess */
	if (secret->text != NULL && info.st_ino == secret->ino && info.st_mtim.tv_sec == secret->changed.tv_sec &&
	    info.st_mtim.tv_nsec == secret->changed.tv_nsec)
		return;
	buf_init(&text, SECRET_BYTES);
	if (file_read_secret(secret->path, &text, &err) == 0) {
		if (secret->text != NULL)
			explicit_bzero(secret->text, strlen(secret->text));
		free(secret->text);
		secret->text = xstrdup(buf_text(&text));
		secret->changed = info.st_mtim;
		secret->ino = info.st_ino;
	} else {
		log_warn("cannot read secret, the last one stays in use", "error=%s", log_quote(err.text));
	}
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	buf_release(&text);
}

static void secret_release(struct secret *secret)
{
	if (secret->text != NULL)
		explicit_bzero(secret->text, strlen(secret->text));
	free(secret->text);
}

/* ---- the output --------------------------------------------------------------------------------------------------- */

struct posting { /* one parcel under way */
	struct http_output *output;
	struct parcel *parcel;
	struct http_request *request;
	struct posting *prev, *next;
};

struct http_output {
	unsigned magic;
	const struct http_options *options;
	struct output_env env;
	struct http_peer peer;
	struct secret password, token;
	struct posting *postings;
	struct posting *unstarted; /* answered from the next turn of the loop */
	struct metric *wire_bytes;
	uv_timer_t later;
	int last_status;
	char last_text[TEXT_BYTES + 1];
	void (*stopped)(void *arg);
	void *stopped_arg;
	bool is_stopping;
};

static struct http_output *output_of(void *pointer)
{
	struct http_output *output = pointer;

	must(output->magic == OUTPUT_MAGIC);
	return output;
}

static void finish_posting(struct posting *posting, const struct answer *answer)
{
	struct parcel *parcel = posting->parcel;

	free(posting);
	parcel->answer(parcel, PARCEL_ALL, answer);
}

/* The first line of what the server said, for people. */
static void remember(struct http_output *output, const struct http_answer *answer)
{
	const char *text = answer->status != 0 ? answer->body : answer->error;
	size_t len = answer->status != 0 ? answer->body_len : strlen(answer->error);
	size_t line = 0;
	int head = 0;

	while (line < len && line < TEXT_BYTES / 2 && (unsigned char)text[line] >= 0x20 && (unsigned char)text[line] < 0x7f)
		line++;
	output->last_status = answer->status;
	if (answer->status != 0)
		head = snprintf(output->last_text, sizeof output->last_text, "HTTP status %d%s", answer->status, line != 0 ? ": " : "");
	snprintf(output->last_text + head, sizeof output->last_text - (size_t)head, "%.*s", (int)line, text);
}

static void on_end(void *arg, const struct http_answer *http_answer)
{
	struct posting *posting = arg;
	struct http_output *output = posting->output;
	struct answer answer = http_verdict(http_answer->status);

	DL_DELETE(output->postings, posting);
	metric_add(output->wire_bytes, http_answer->bytes_sent);
	remember(output, http_answer);
	if (answer.kind != ANSWER_SENT)
		answer.text = output->last_text;
	answer.retry_after_ms = http_answer->retry_after_ms;
	finish_posting(posting, &answer);
}

/* What could not be started is answered later, never from inside send(). */
static void on_later(uv_timer_t *timer)
{
	struct http_output *output = output_of(timer->data);
	struct posting *posting, *next;
	struct posting *unstarted = output->unstarted;

	output->unstarted = NULL;
	DL_FOREACH_SAFE (unstarted, posting, next) {
		struct answer answer = {.kind = ANSWER_HOLD, .reason = "unusable", .text = output->last_text, .retry_after_ms = -1};

		if (output->is_stopping)
			answer.kind = ANSWER_RETRY;
		finish_posting(posting, &answer);
	}
	if (output->is_stopping)
		output->stopped(output->stopped_arg);
}

#define HEADER_LIMIT (OUTPUT_TEMPLATES + 4)

/* Makes "Name: value" of each configured header (its value is the destination's expansion number i + 1) and of our own.  The texts are freed by the caller. */
static size_t make_headers(const struct http_output *output, const struct parcel *parcel, char *headers[HEADER_LIMIT])
{
	const struct bind_list *list = &output->options->headers;
	size_t count = 0;

	headers[count++] = xasprintf("Content-Type: %s", format_by_index(output->options->format)->content_type);
	if (parcel->encoding != NULL)
		headers[count++] = xasprintf("Content-Encoding: %s", parcel->encoding);
	if (output->token.text != NULL)
		headers[count++] = xasprintf("Authorization: Bearer %s", output->token.text);
	for (size_t i = 0; i < list->count; i++) {
		int name_len = (int)(strchr(list->items[i], '=') - list->items[i]);

		if (parcel->destination[i + 1][0] == '\0')
			continue;
		headers[count++] = xasprintf("%.*s: %s", name_len, list->items[i], parcel->destination[i + 1]);
	}
	headers[count] = NULL;
	return count;
}

static void send_parcel(struct output *base, struct parcel *parcel)
{
	struct http_output *output = output_of(base);
	struct posting *posting = x_new(posting);
	char *headers[HEADER_LIMIT];
	size_t header_count;
	struct err err;

	must(parcel->body != NULL && !output->is_stopping);
	secret_refresh(&output->password);
	secret_refresh(&output->token);
	header_count = make_headers(output, parcel, headers);
	posting->output = output;
	posting->parcel = parcel;
	{
		const struct http_call call = {
			.method = "POST",
			.url = parcel->destination[0],
			.headers = (const char *const *)headers,
			.body = parcel->body,
			.body_len = parcel->body_len,
			.username = output->options->username,
			.password = output->password.text,
			.peer = &output->peer,
			.on_end = on_end,
			.arg = posting,
		};

		if (http_start(output->env.http, &call, &posting->request, &err) == 0) {
			DL_APPEND(output->postings, posting);
		} else {
			snprintf(output->last_text, sizeof output->last_text, "%.*s", TEXT_BYTES, err.text);
			DL_APPEND(output->unstarted, posting);
			uv_timer_start(&output->later, on_later, 0, 0);
		}
	}
	for (size_t i = 0; i < header_count; i++) {
		explicit_bzero(headers[i], strlen(headers[i])); /* one of them may be the token */
		free(headers[i]);
	}
}

static int open_output(struct output **ret_output, const void *options, const struct output_env *env, struct err *err)
{
	struct http_output *output = x_new(output);

	(void)err;
	output->magic = OUTPUT_MAGIC;
	output->options = options;
	output->env = *env;
	output->peer = (struct http_peer){
		.ca_file = output->options->ca_file,
		.cert_file = output->options->cert_file,
		.key_file = output->options->key_file,
		.verify = output->options->tls_verify,
		.timeout_ms = output->options->timeout_ms,
	};
	output->password.path = output->options->password_file;
	output->token.path = output->options->token_file;
	output->wire_bytes = metric_get(env->metrics, &output_wire_bytes, env->name);
	must(uv_timer_init(env->loop, &output->later) == 0);
	output->later.data = output;
	if (!output->options->tls_verify)
		log_warn("tls_verify is off: anyone on the way can read and swallow the logs", "output=%s", env->name);
	*ret_output = (struct output *)output;
	return 0;
}

static void stop_output(struct output *base, void (*stopped)(void *arg), void *arg)
{
	struct http_output *output = output_of(base);
	struct posting *posting, *next;

	output->is_stopping = true;
	output->stopped = stopped;
	output->stopped_arg = arg;
	DL_FOREACH_SAFE (output->postings, posting, next) {
		http_cancel(posting->request);
		DL_DELETE(output->postings, posting);
		DL_APPEND(output->unstarted, posting);
	}
	snprintf(output->last_text, sizeof output->last_text, "stopped");
	uv_timer_start(&output->later, on_later, 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
	struct http_output *output = output_of(handle->data);

	secret_release(&output->password);
	secret_release(&output->token);
	output->magic = 0;
	free(output);
}

static void close_output(struct output *base)
{
	struct http_output *output = output_of(base);

	must(output->is_stopping && output->postings == NULL && output->unstarted == NULL);
	uv_close((uv_handle_t *)&output->later, on_closed);
}

static void write_status(const struct output *base, struct buf *out)
{
	const struct http_output *output = (const struct http_output *)base;

	buf_printf(out, "\"last_status\":%d,\"last_answer\":", output->last_status);
	buf_add_json(out, output->last_text, strlen(output->last_text));
}

/* ---- what the configuration says ----------------------------------------------------------------------------------- */

static void complain(struct ini_complaints *complaints, const struct ini_section *section, const char *key, const char *text)
{
	ini_error(complaints, section != NULL ? bind_place(section, key) : (struct ini_place){"(defaults)", 0}, "%s", text);
}

static bool can_fail(const char *text)
{
	struct template *template;
	bool can;

	if (text == NULL || template_check(text) != NULL)
		return false;
	template = template_new(text, TEMPLATE_URL);
	can = template_can_fail(template);
	template_free(template);
	return can;
}

/* Whoever may create a pod writes its labels: they would choose who gets the logs, and our credentials. */
static bool has_labels_in_host(const char *url)
{
	const char *host = url != NULL ? strstr(url, "://") : NULL;
	size_t len;
	bool is_label;

	if (host == NULL)
		return false;
	for (host += 3; (len = strcspn(host, "{/?#")), host[len] == '{'; host += len + 1) {
		is_label = strncmp(host + len, "{label:", 7) == 0 || strncmp(host + len, "{annotation:", 12) == 0;
		if (is_label)
			return true;
	}
	return false;
}

static bool has_credentials(const char *url)
{
	const char *host = url != NULL ? strstr(url, "://") : NULL;

	return host != NULL && memchr(host + 3, '@', strcspn(host + 3, "/?#")) != NULL;
}

static void check_options(const void *base, const struct ini_section *section, const char *section_name, struct ini_complaints *complaints)
{
	const struct http_options *options = base;

	(void)section_name;
	if (has_credentials(options->url)) /* they would show in the log, in /status and in --print-config */
		complain(complaints, section, "url", "a URL may not hold credentials: use username and password_file");
	if (options->username != NULL && options->password_file == NULL)
		complain(complaints, section, "username", "username needs password_file");
	if (options->username == NULL && options->password_file != NULL)
		complain(complaints, section, "password_file", "password_file needs username");
	if (options->username != NULL && options->token_file != NULL)
		complain(complaints, section, "token_file", "username and token_file exclude each other");
	if ((options->cert_file != NULL) != (options->key_file != NULL))
		complain(complaints, section, options->cert_file != NULL ? "cert_file" : "key_file", "cert_file and key_file need each other");
	if (options->headers.count > OUTPUT_TEMPLATES - 1)
		complain(complaints, section, "url", "there are more than 33 header.* keys");
	if (has_labels_in_host(options->url))
		complain(complaints, section, "url", "labels and annotations may stand in the URL's path and query, not in its host");
	else if (can_fail(options->url))
		complain(complaints, section, "url",
			"a pod may not have the label: a URL needs {label:NAME:-TEXT} or {annotation:NAME:-TEXT}, with what stands then");
}

static bool wants_packed(const void *options)
{
	(void)options;
	return true;
}

static const struct format *format(const void *base)
{
	const struct http_options *options = base;

	return format_by_index(options->format);
}

static size_t destination(const void *base, struct destination_text *ret_texts)
{
	const struct http_options *options = base;

	ret_texts[0] = (struct destination_text){options->url, TEMPLATE_URL, NULL};
	for (size_t i = 0; i < options->headers.count; i++)
		ret_texts[i + 1] = (struct destination_text){strchr(options->headers.items[i], '=') + 1, TEMPLATE_HEADER, NULL};
	return 1 + options->headers.count;
}

static struct bind_range retry_backoff(const void *base)
{
	const struct http_options *options = base;

	return options->retry_backoff;
}

const struct output_ops output_http = {
	.name = "http",
	.help = "POSTs batches to a URL.",
	.rows = rows,
	.options_size = sizeof(struct http_options),
	.check = check_options,
	.wants_packed = wants_packed,
	.format = format,
	.destination = destination,
	.retry_backoff = retry_backoff,
	.open = open_output,
	.send = send_parcel,
	.stop = stop_output,
	.close = close_output,
	.status = write_status,
};
