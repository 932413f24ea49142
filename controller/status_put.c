/* Status put.  The counters of one set on their way to the API server.
 *
 *   PUT (over the version that the cache has) -> 409 -> GET (live) -> PUT (over that) -> end
 *   a raised collision count begins with the GET
 *
 * The counters are those of the sync that started it, whatever version they are put over: they come from the
 * same caches, and the next sync corrects them.  A set of another UID is another set: nothing is put over it.
 */
#include "config.h"
#include "controller/status_put.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/actions.h"
#include "controller/errand.h"

#define STATUS_BYTES (4u << 20)

struct status_put {
	struct status_put_parts parts;
	char *namespace_name, *name, *uid;
	struct set_status status;
	char *reasons[2]; /* of its conditions; owned */
	bool raises_collision;
	int64_t known_collision;
	bool is_second;
	struct kube_request *request; /* a read under way */
	bool is_written;
};

static void put_over(struct status_put *put, const struct collector_set *set);

static void put_free(struct status_put *put)
{
	free(put->namespace_name);
	free(put->name);
	free(put->uid);
	free(put->reasons[0]);
	free(put->reasons[1]);
	free(put);
}

void status_put_cancel(struct status_put *put)
{
	if (put->request != NULL)
		kube_cancel(put->request);
	if (put->is_written)
		writer_drop(put->parts.writer, put);
	put_free(put);
}

static void finish(struct status_put *put, enum status_put_end end, enum kube_result result,
    const char *version, const char *message)
{
	struct status_put_parts parts = put->parts;
	const struct status_put_result ended = {
	    .end = end, .result = result, .version = version, .message = message};

	put_free(put);
	parts.on_end(parts.arg, &ended);
}

/* ---- the live set --------------------------------------------------------------------------- */

/* What the server has now is put over, with our counters or with one collision more. */
static void take_live(struct status_put *put, const struct collector_set *live)
{
	if (strcmp(live->meta.uid, put->uid) != 0) {
		finish(put, STATUS_PUT_GONE, KUBE_OK, "", "the set is another one by now");
	} else if (put->raises_collision && live->status.collision_count != put->known_collision) {
		finish(put, STATUS_PUT_STALE, KUBE_OK, live->meta.resource_version,
		    "the collision count has been raised already");
	} else {
		if (put->raises_collision) {
			put->status = live->status;
			put->status.collision_count = put->known_collision > 0 ? put->known_collision + 1 : 1;
		}
		put->is_second = true;
		put_over(put, live);
	}
}

static void on_live(void *arg, const struct kube_answer *answer)
{
	struct status_put *put = arg;
	struct collector_set *live = NULL;
	struct err err = {.code = 0};
	cJSON *tree;

	put->request = NULL;
	if (answer->result != KUBE_OK) {
		finish(put, answer->result == KUBE_NOT_FOUND ? STATUS_PUT_GONE : STATUS_PUT_FAILED,
		    answer->result, "", answer->message);
		return;
	}
	tree = answer->body != NULL ? cJSON_ParseWithLength(answer->body, answer->body_len) : NULL;
	if (collector_set_read(&live, tree, &err) == 0)
		take_live(put, live);
	else
		finish(put, STATUS_PUT_FAILED, KUBE_FAILED, "", err.text);
	collector_set_free(live);
	cJSON_Delete(tree);
}

static int read_live(struct status_put *put, struct err *err)
{
	char *path = actions_set_path(put->namespace_name, put->name);
	const struct kube_call call = {.method = "GET", .path = path, .on_end = on_live, .arg = put};
	int result = kube_start(put->parts.client, &call, &put->request, err);

	if (result != 0)
		put->request = NULL;
	free(path);
	return result;
}

/* ---- the write ------------------------------------------------------------------------------ */

static void on_put(void *arg, const struct kube_answer *answer)
{
	struct status_put *put = arg;
	struct err err = {.code = 0};
	char version[32];

	put->is_written = false;
	if (answer->result == KUBE_OK) {
		errand_version(version, answer);
		finish(put, STATUS_PUT_DONE, KUBE_OK, version, "");
	} else if (answer->result == KUBE_NOT_FOUND) {
		finish(put, STATUS_PUT_GONE, answer->result, "", answer->message);
	} else if (answer->result != KUBE_CONFLICT || put->is_second) {
		finish(put, STATUS_PUT_FAILED, answer->result, "", answer->message);
	} else if (read_live(put, &err) != 0) {
		finish(put, STATUS_PUT_FAILED, KUBE_FAILED, "", err.text);
	}
}

static void put_over(struct status_put *put, const struct collector_set *set)
{
	char *path = actions_set_status_path(put->namespace_name, put->name);
	struct kube_call call = {.method = "PUT", .path = path, .on_end = on_put, .arg = put};
	struct buf body;

	buf_init(&body, STATUS_BYTES);
	collector_set_status_body(set, &put->status, &body);
	call.body = body.data;
	call.body_len = body.len;
	put->is_written = true;
	writer_send(put->parts.writer, &call);
	buf_release(&body);
	free(path);
}

/* ---- birth ---------------------------------------------------------------------------------- */

static struct status_put *put_new(const struct status_put_parts *parts, const struct kube_meta *set)
{
	struct status_put *put = x_new(put);

	put->parts = *parts;
	put->namespace_name = xstrdup(set->namespace_name);
	put->name = xstrdup(set->name);
	put->uid = xstrdup(set->uid);
	return put;
}

static char *keep_reason(struct condition *condition)
{
	char *copy = condition->reason != NULL ? xstrdup(condition->reason) : NULL;

	condition->reason = copy; /* it was lent by a set that may go meanwhile */
	return copy;
}

struct status_put *status_put_start(
    const struct status_put_parts *parts, const struct collector_set *set, const struct set_status *status)
{
	struct status_put *put = put_new(parts, &set->meta);

	put->status = *status;
	put->reasons[0] = keep_reason(&put->status.available_condition);
	put->reasons[1] = keep_reason(&put->status.progressing_condition);
	put_over(put, set);
	return put;
}

struct status_put *status_put_raise_collision(
    const struct status_put_parts *parts, const struct kube_meta *set, int64_t known)
{
	struct status_put *put = put_new(parts, set);
	struct err err = {.code = 0};

	put->raises_collision = true;
	put->known_collision = known;
	if (read_live(put, &err) == 0)
		return put;
	put_free(put);
	return NULL;
}
