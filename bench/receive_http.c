/* HTTP door of the receiver.  HTTP/1.1 as far as log agents speak it: POST or PUT with a length or in chunks,
 * Expect, keep-alive, and enough of Elasticsearch's answers that agents which insist on it go on.  GET /stats
 * (?lat) tells the account, GET /reset zeroes it.  Everything is loopback and trusted: a request that makes
 * no sense ends the connection. */
#include "config.h"
#include "bench/receive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/decode.h"
#include "common/buf.h"

#define RECEIVE_BYTES  65536
#define HEAD_MAX_BYTES 65536

struct connection {
	int fd;
	struct account *account;
	const struct answers *answers;
	struct buf in; /* what came and is not used up: from `at` on */
	size_t at;
	struct buf body, plain, answer;
};

struct request {
	char path[128];
	char encoding[16];
	size_t len;
	size_t head_len;
	bool is_get, is_chunked, expects_continue, is_last;
};

/* ---- bytes in and out ------------------------------------------------------------------------------ */

static size_t pending(const struct connection *c)
{
	return c->in.len - c->at;
}

/* Waits for more bytes; false at the end of the connection. */
static bool fill(struct connection *c)
{
	ssize_t got;

	if (c->at > 0) {
		memmove(c->in.data, c->in.data + c->at, pending(c));
		c->in.len -= c->at;
		c->at = 0;
	}
	if (!buf_reserve(&c->in, RECEIVE_BYTES))
		return false;
	got = recv(c->fd, c->in.data + c->in.len, c->in.capacity - c->in.len, 0);
	if (got <= 0)
		return false;
	c->in.len += (size_t)got;
	return true;
}

/* Waits until `mark` is among the pending bytes; returns how many come before its end, or 0. */
static size_t wait_for(struct connection *c, const char *mark)
{
	size_t mark_len = strlen(mark);

	for (;;) {
		const char *start = c->in.data + c->at;
		const char *hit = pending(c) > 0 ? memmem(start, pending(c), mark, mark_len) : NULL;

		if (hit != NULL)
			return (size_t)(hit - start) + mark_len;
		if (pending(c) > HEAD_MAX_BYTES || !fill(c))
			return 0;
	}
}

/* Moves the next len bytes into the body. */
static bool take(struct connection *c, size_t len)
{
	size_t have = pending(c) < len ? pending(c) : len;

	if (!buf_reserve(&c->body, len))
		return false;
	if (have > 0 && !buf_add(&c->body, c->in.data + c->at, have))
		return false;
	c->at += have;
	for (len -= have; len > 0;) {
		ssize_t got = recv(c->fd, c->body.data + c->body.len, len, 0);

		if (got <= 0)
			return false;
		c->body.len += (size_t)got;
		len -= (size_t)got;
	}
	return true;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		len -= (size_t)sent;
	}
	return true;
}

/* ---- a request ------------------------------------------------------------------------------------- */

static void read_header(struct request *request, const char *name, const char *value)
{
	if (strcasecmp(name, "content-length") == 0)
		request->len = strtoull(value, NULL, 10);
	else if (strcasecmp(name, "transfer-encoding") == 0)
		request->is_chunked = strncasecmp(value, "chunked", 7) == 0;
	else if (strcasecmp(name, "content-encoding") == 0)
		snprintf(request->encoding, sizeof request->encoding, "%s", value);
	else if (strcasecmp(name, "expect") == 0)
		request->expects_continue = true;
	else if (strcasecmp(name, "connection") == 0 && strncasecmp(value, "close", 5) == 0)
		request->is_last = true;
}

static bool read_head(struct connection *c, struct request *request)
{
	char *head, *line, *rest = NULL;

	*request = (struct request){.head_len = wait_for(c, "\r\n\r\n")};
	if (request->head_len == 0)
		return false;
	head = c->in.data + c->at;
	c->at += request->head_len;
	head[request->head_len - 2] = '\0';
	line = strtok_r(head, "\r\n", &rest);
	if (line == NULL)
		return false;
	request->is_get = strncmp(line, "GET ", 4) == 0;
	request->is_last = strstr(line, "HTTP/1.0") != NULL;
	if (sscanf(line, "%*s %127s", request->path) != 1)
		return false;
	while ((line = strtok_r(NULL, "\r\n", &rest)) != NULL) {
		char *value = strchr(line, ':');

		if (value == NULL)
			continue;
		*value++ = '\0';
		read_header(request, line, value + strspn(value, " "));
	}
	return true;
}

static bool read_chunks(struct connection *c)
{
	for (;;) {
		size_t head_len = wait_for(c, "\r\n");
		size_t len;

		if (head_len == 0)
			return false;
		len = strtoull(c->in.data + c->at, NULL, 16);
		c->at += head_len;
		atomic_fetch_add(&c->account->wire_bytes, head_len + len + 2);
		if (!take(c, len) || wait_for(c, "\r\n") != 2)
			return false;
		c->at += 2;
		if (len == 0)
			return true;
	}
}

static bool read_body(struct connection *c, const struct request *request)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	buf_clear(&c->body);
	if (request->expects_continue && !send_all(c->fd, go_on, sizeof go_on - 1))
		return false;
	if (request->is_chunked)
		return read_chunks(c);
	if (!request->is_get)
		atomic_fetch_add(&c->account->wire_bytes, request->len);
	return take(c, request->len);
}

/* Returns the plain bytes of the body. */
static const struct buf *account_body(struct connection *c, const struct request *request)
{
	const struct buf *plain = &c->body;

	atomic_fetch_add(&c->account->body_bytes, c->body.len);
	atomic_fetch_add(&c->account->request_count, 1);
	if (decode_is_needed(request->encoding)) {
		buf_clear(&c->plain);
		if (!decode(request->encoding, c->body.data, c->body.len, &c->plain))
			atomic_fetch_add(&c->account->undecodable_count, 1);
		plain = &c->plain;
	}
	account_take(c->account, plain->data, plain->len, plain->len);
	return plain;
}

/* ---- the answer ------------------------------------------------------------------------------------ */

/* Bulk requests want one item for each pair of lines. */
static bool write_bulk_answer(struct buf *out, const struct buf *plain)
{
	static const char item[] =
	    "{\"create\":{\"_index\":\"logs\",\"_type\":\"_doc\",\"_id\":\"aaaaaaaaaaaaaaaaaaaa\",\"_"
	    "version\":1,"
	    "\"result\":\"created\",\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},\"_seq_no\":100,"
	    "\"_primary_term\":1,\"status\":201}}";
	size_t line_count = 0;
	bool is_good = buf_add_text(out, "{\"took\":1,\"errors\":false,\"items\":[");

	for (size_t i = 0; i < plain->len; i++)
		line_count += plain->data[i] == '\n';
	for (size_t i = 0; i < line_count / 2 && is_good; i++)
		is_good = (i == 0 || buf_add_text(out, ",")) && buf_add(out, item, sizeof item - 1);
	return is_good && buf_add_text(out, "]}");
}

static bool send_answer(struct connection *c)
{
	char head[256];
	int len = snprintf(head, sizeof head,
	    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    c->answer.len);

	return send_all(c->fd, head, (size_t)len) && send_all(c->fd, c->answer.data, c->answer.len);
}

static bool answer_get(struct connection *c, const struct request *request)
{
	static const char cluster[] =
	    "{\"name\":\"n\",\"cluster_name\":\"c\",\"version\":{\"number\":\"7.17.29\"},"
	    "\"tagline\":\"You Know, for Search\"}";
	char report[ACCOUNT_REPORT_BYTES];

	if (strncmp(request->path, "/stats", 6) == 0) {
		size_t len = account_report(c->account, strstr(request->path, "lat") != NULL, report);

		return buf_add(&c->answer, report, len) && send_answer(c);
	}
	if (strcmp(request->path, "/reset") == 0)
		account_reset(c->account);
	return buf_add_text(&c->answer, strcmp(request->path, "/") == 0 ? cluster : c->answers->body) &&
	       send_answer(c);
}

static bool answer_post(struct connection *c, const struct request *request)
{
	const struct buf *plain = &c->body;

	atomic_fetch_add(&c->account->wire_bytes, request->head_len);
	if (c->body.len > 0) {
		plain = account_body(c, request);
		if (c->answers->delay_ms > 0)
			usleep(c->answers->delay_ms * 1000);
	}
	if (strstr(request->path, "_bulk") != NULL)
		return write_bulk_answer(&c->answer, plain) && send_answer(c);
	return buf_add_text(&c->answer, c->answers->body) && send_answer(c);
}

void receive_http(int fd, struct account *account, const struct answers *answers)
{
	struct connection c = {.fd = fd, .account = account, .answers = answers};
	struct request request;
	bool goes_on;
	int on = 1;

	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* without it answers are late, not wrong */
	buf_init(&c.in, DECODE_MAX_BYTES);
	buf_init(&c.body, DECODE_MAX_BYTES);
	buf_init(&c.plain, DECODE_MAX_BYTES);
	buf_init(&c.answer, DECODE_MAX_BYTES);
	do {
		buf_clear(&c.answer);
		goes_on = read_head(&c, &request) && read_body(&c, &request);
		if (goes_on)
			goes_on = request.is_get ? answer_get(&c, &request) : answer_post(&c, &request);
	} while (goes_on && !request.is_last);
	close(fd);
	buf_release(&c.in);
	buf_release(&c.body);
	buf_release(&c.plain);
	buf_release(&c.answer);
}
