/* A small API server on the test's own loop: hands each request to a function of the test, and sends what
 * that says. */
#ifndef DRAVE_TESTS_KUBE_FAR_H
#define DRAVE_TESTS_KUBE_FAR_H

#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/buf.h"
#include "common/must.h"

#define KUBE_FAR_PEERS 64

struct kube_far_peer {
	uv_tcp_t tcp;
	struct kube_far *far;
	struct buf request;
};

struct kube_far {
	uv_tcp_t listener;
	unsigned port;
	/* Fills body and returns the status; 0: no answer ever comes. */
	int (*answer)(
	    void *arg, const char *method, const char *path, const char *request_body, struct buf *body);
	void *arg;
	char authorization[256]; /* of the request that is being answered; "" = none */
	const char *more_head; /* further header lines, each with its CRLF; NULL = none */
	struct kube_far_peer *peers[KUBE_FAR_PEERS];
	size_t peer_count;
};

static inline void kube_far_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
	static char bytes[65536];

	(void)handle, (void)wanted;
	*ret_buf = uv_buf_init(bytes, sizeof bytes);
}

struct kube_far_write {
	uv_write_t write;
	struct buf text;
};

static inline void kube_far_written(uv_write_t *write, int status)
{
	struct kube_far_write *out = write->data;

	(void)status;
	buf_release(&out->text);
	free(out);
}

static inline void kube_far_keep_authorization(struct kube_far *far, const char *head)
{
	static const char name[] = "\r\nAuthorization: ";
	const char *line = strcasestr(head, name);

	far->authorization[0] = '\0';
	if (line != NULL)
		(void)snprintf(far->authorization, sizeof far->authorization, "%.*s",
		    (int)strcspn(line + sizeof name - 1, "\r"), line + sizeof name - 1);
}

static inline void kube_far_answer(struct kube_far_peer *peer, const char *head, const char *request_body)
{
	struct kube_far_write *out = x_new(out);
	struct buf body;
	char method[16], path[1024];
	uv_buf_t bytes;
	int status;

	ck_assert_int_eq(sscanf(head, "%15s %1023s", method, path), 2);
	kube_far_keep_authorization(peer->far, head);
	buf_init(&body, 1 << 20);
	buf_init(&out->text, 1 << 20);
	out->write.data = out;
	status = peer->far->answer(peer->far->arg, method, path, request_body, &body);
	if (status == 0) {
		free(out);
	} else {
		buf_printf(&out->text,
		    "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
		    status, body.len, peer->far->more_head != NULL ? peer->far->more_head : "",
		    buf_text(&body));
		bytes = uv_buf_init(out->text.data, (unsigned)out->text.len);
		ck_assert_int_eq(
		    uv_write(&out->write, (uv_stream_t *)&peer->tcp, &bytes, 1, kube_far_written), 0);
	}
	buf_release(&body);
}

/* Takes a whole request off the front, if there is one, and answers it. */
static inline bool kube_far_take(struct kube_far_peer *peer)
{
	const char *text = buf_text(&peer->request), *end = strstr(text, "\r\n\r\n"), *length;
	size_t head_len, body_len;
	char *head, *body;

	if (end == NULL)
		return false;
	length = strcasestr(text, "\r\ncontent-length:");
	head_len = (size_t)(end - text) + 4;
	body_len =
	    length != NULL && length < end ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
	if (peer->request.len < head_len + body_len)
		return false;
	head = xstrndup(text, head_len);
	body = xstrndup(text + head_len, body_len);
	memmove(peer->request.data, peer->request.data + head_len + body_len,
	    peer->request.len - head_len - body_len);
	peer->request.len -= head_len + body_len;
	kube_far_answer(peer, head, body);
	free(head);
	free(body);
	return true;
}

static inline void kube_far_close_peer(struct kube_far_peer *peer)
{
	if (!uv_is_closing((uv_handle_t *)&peer->tcp))
		uv_close((uv_handle_t *)&peer->tcp, NULL);
}

static inline void kube_far_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
	struct kube_far_peer *peer = stream->data;

	if (count < 0) {
		kube_far_close_peer(peer);
		return;
	}
	ck_assert(buf_add(&peer->request, bytes->base, (size_t)count));
	while (kube_far_take(peer))
		continue;
}

static inline void kube_far_connected(uv_stream_t *listener, int status)
{
	struct kube_far *far = listener->data;
	struct kube_far_peer *peer = x_new(peer);

	ck_assert_int_eq(status, 0);
	ck_assert_uint_lt(far->peer_count, KUBE_FAR_PEERS);
	far->peers[far->peer_count++] = peer;
	peer->far = far;
	buf_init(&peer->request, 16 << 20);
	ck_assert_int_eq(uv_tcp_init(listener->loop, &peer->tcp), 0);
	peer->tcp.data = peer;
	ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
	ck_assert_int_eq(uv_read_start((uv_stream_t *)&peer->tcp, kube_far_alloc, kube_far_read), 0);
}

static inline void kube_far_init(struct kube_far *far, uv_loop_t *loop)
{
	struct sockaddr_in address;
	int len = sizeof address;

	*far = (struct kube_far){.answer = NULL};
	ck_assert_int_eq(uv_tcp_init(loop, &far->listener), 0);
	far->listener.data = far;
	ck_assert_int_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	ck_assert_int_eq(uv_tcp_bind(&far->listener, (const struct sockaddr *)&address, 0), 0);
	ck_assert_int_eq(uv_listen((uv_stream_t *)&far->listener, 64, kube_far_connected), 0);
	ck_assert_int_eq(uv_tcp_getsockname(&far->listener, (struct sockaddr *)&address, &len), 0);
	far->port = ntohs(address.sin_port);
}

/* Closes all handles; kube_far_free after the loop has run out. */
static inline void kube_far_close(struct kube_far *far)
{
	uv_close((uv_handle_t *)&far->listener, NULL);
	for (size_t i = 0; i < far->peer_count; i++)
		kube_far_close_peer(far->peers[i]);
}

static inline void kube_far_free(struct kube_far *far)
{
	for (size_t i = 0; i < far->peer_count; i++) {
		buf_release(&far->peers[i]->request);
		free(far->peers[i]);
	}
}

#endif
