/* Errand.  How one action is carried to the API server and what its answer means.
 *
 * A pod's name is its lock (DESIGN 9).  If the server says that a name exists, a live read of it decides: a
 * pod that has ended and is being deleted (a finalizer holds it), or one that is not ours, makes us take the
 * next name; any other pod is the one that we wanted, or one that must go first, and we wait quietly.  A
 * delete because a node is missing from the cache asks the server for that node first.  What the server may
 * have done without an answer ends as unknown and is verified later by a read, never by doing it again.
 *
 * Stands between sync, which knows the order of things, and writer, which knows the rate.  Owns its strings
 * and its read.  Knows nothing of expectations, events and retries. */
#include "config.h"
#include "controller/errand.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/actions.h"
#include "controller/revision.h"

#define BODY_BYTES (2u << 20) /* a template at its limit and what is added to it */

static void on_written(void *arg, const struct kube_answer *answer);
static void on_looked(void *arg, const struct kube_answer *answer);

/* ---- words ---------------------------------------------------------------------------------- */

bool errand_end_is_error(enum errand_end end)
{
	return end == ERRAND_UNKNOWN || end == ERRAND_REFUSED || end == ERRAND_FORBIDDEN ||
	       end == ERRAND_FAILED || end == ERRAND_COLLISION;
}

const char *errand_end_text(enum errand_end end)
{
	static const char *const texts[] = {
	    [ERRAND_OPEN] = "open",
	    [ERRAND_DONE] = "done",
	    [ERRAND_MOOT] = "moot",
	    [ERRAND_HELD] = "held",
	    [ERRAND_UNFOUNDED] = "unfounded",
	    [ERRAND_FUTILE] = "namespace_terminating",
	    [ERRAND_COLLISION] = "collision",
	    [ERRAND_UNKNOWN] = "unknown",
	    [ERRAND_REFUSED] = "invalid",
	    [ERRAND_FORBIDDEN] = "forbidden",
	    [ERRAND_FAILED] = "failed",
	};

	return texts[end];
}

void errand_version(char out[32], const struct kube_answer *answer)
{
	cJSON *tree = answer->body != NULL ? cJSON_ParseWithLength(answer->body, answer->body_len) : NULL;
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(tree, "metadata");
	const char *version =
	    cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, "resourceVersion"));

	(void)snprintf(out, 32, "%s", version != NULL ? version : ""); /* versions are 64-bit numbers */
	cJSON_Delete(tree);
}

static char *copy_of(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

/* ---- birth and end -------------------------------------------------------------------------- */

void errand_init(struct errand *errand, struct errand_base *base, const struct action *action)
{
	const struct kube_meta *object = action->pod != NULL        ? &action->pod->meta
					 : action->revision != NULL ? &action->revision->meta
								    : NULL;

	*errand = (struct errand){
	    .base = base,
	    .kind = action->kind,
	    .reason = action->reason,
	    .rests_on_absence = action->rests_on_absence,
	    .hash = copy_of(action->hash),
	    .number = action->number,
	    .attempt = 1,
	};
	if (object != NULL) {
		errand->name = xstrdup(object->name);
		errand->uid = xstrdup(object->uid);
	}
	if (action->node != NULL) {
		errand->node_name = xstrdup(action->node->meta.name);
		errand->node_uid = xstrdup(action->node->meta.uid);
	} else if (action->pod != NULL) {
		errand->node_name = copy_of(action->pod->target);
	}
}

void errand_release(struct errand *errand)
{
	must(errand->request == NULL && !errand->is_written);
	free(errand->name);
	free(errand->uid);
	free(errand->node_name);
	free(errand->node_uid);
	free(errand->hash);
	*errand = (struct errand){.end = ERRAND_OPEN};
}

void errand_cancel(struct errand *errand)
{
	if (errand->request != NULL)
		kube_cancel(errand->request);
	if (errand->is_written)
		writer_drop(errand->base->writer, errand);
	errand->request = NULL;
	errand->is_written = false;
}

static void finish(struct errand *errand, enum errand_end end)
{
	errand->end = end;
	errand->base->on_end(errand->base->arg, errand);
}

/* Admission policies answer 422, and webhooks what they like.  What they object to may be in order a moment
 * later without any change of the set: a policy's parameters lag behind, or someone mends it. */
static bool is_denied(const struct kube_answer *answer)
{
	return strstr(answer->message, " denied request: ") != NULL ||
	       strstr(answer->message, " denied the request") != NULL;
}

static void fail(struct errand *errand, const struct kube_answer *answer)
{
	bool is_invalid = answer->result == KUBE_INVALID && !is_denied(answer);

	(void)snprintf(errand->message, sizeof errand->message, "%s", answer->message);
	finish(errand, is_invalid                                                           ? ERRAND_REFUSED
		       : answer->result == KUBE_FORBIDDEN || answer->result == KUBE_INVALID ? ERRAND_FORBIDDEN
											    : ERRAND_FAILED);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Takes path. */
static void read_live(struct errand *errand, char *path)
{
	struct err err = {.code = 0};
	const struct kube_call call = {.method = "GET", .path = path, .on_end = on_looked, .arg = errand};

	must(errand->request == NULL);
	if (kube_start(errand->base->client, &call, &errand->request, &err) != 0) {
		errand->request = NULL;
		(void)snprintf(errand->message, sizeof errand->message, "%.255s", err.text);
		finish(errand, ERRAND_FAILED);
	}
	free(path);
}

/* Takes path; body may be NULL. */
static void write_now(
    struct errand *errand, const char *method, char *path, const char *content_type, const struct buf *body)
{
	const struct kube_call call = {
	    .method = method,
	    .path = path,
	    .content_type = content_type,
	    .body = body->data,
	    .body_len = body->len,
	    .on_end = on_written,
	    .arg = errand,
	};

	errand->is_written = true;
	writer_send(errand->base->writer, &call);
	free(path);
}

static void make_pod_name(struct errand *errand)
{
	const struct errand_base *base = errand->base;
	struct pod_name name =
	    pod_name_make(base->set.name, errand->node_name, errand->node_uid, base->hash, errand->attempt);

	free(errand->name);
	errand->name = xstrdup(name.text);
}

static void write_pod_action(struct errand *errand, struct buf *body)
{
	const struct errand_base *base = errand->base;
	char *path = actions_pod_path(
	    base->set.namespace_name, errand->kind == ACTION_CREATE_POD ? NULL : errand->name);

	if (errand->kind == ACTION_CREATE_POD) {
		make_pod_name(errand);
		pod_mould_cast(base->mould, errand->node_name, errand->name, body);
		write_now(errand, "POST", path, NULL, body);
	} else if (errand->kind == ACTION_DELETE_POD) {
		actions_delete_body(errand->uid, body);
		write_now(errand, "DELETE", path, NULL, body);
	} else if (errand->kind == ACTION_RELABEL_POD) {
		actions_hash_label_body(errand->hash, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_MERGE, body);
	} else if (errand->kind == ACTION_ADOPT_POD) {
		actions_adopt_body(&base->set, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_STRATEGIC, body);
	} else {
		actions_release_body(base->set.uid, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_STRATEGIC, body);
	}
}

static void write_revision_action(struct errand *errand, struct buf *body)
{
	const struct errand_base *base = errand->base;
	char *path = actions_revision_path(
	    base->set.namespace_name, errand->kind == ACTION_CREATE_REVISION ? NULL : errand->name);

	if (errand->kind == ACTION_CREATE_REVISION) {
		write_now(errand, "POST", path, NULL, &base->revision_body);
	} else if (errand->kind == ACTION_DELETE_REVISION || errand->kind == ACTION_DELETE_DUPLICATE) {
		actions_delete_body(errand->uid, body);
		write_now(errand, "DELETE", path, NULL, body);
	} else if (errand->kind == ACTION_LABEL_REVISION) {
		actions_hash_label_body(errand->name, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_MERGE, body);
	} else if (errand->kind == ACTION_RENUMBER_REVISION) {
		actions_number_body(errand->number, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_MERGE, body);
	} else if (errand->kind == ACTION_ADOPT_REVISION) {
		actions_adopt_body(&base->set, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_STRATEGIC, body);
	} else {
		actions_release_body(base->set.uid, errand->uid, body);
		write_now(errand, "PATCH", path, ACTIONS_STRATEGIC, body);
	}
}

static bool is_about_pod(enum action_kind kind)
{
	return kind == ACTION_CREATE_POD || kind == ACTION_DELETE_POD || kind == ACTION_RELABEL_POD ||
	       kind == ACTION_ADOPT_POD || kind == ACTION_RELEASE_POD;
}

static void write_action(struct errand *errand)
{
	struct buf body;

	if (errand->base->is_stopping) {
		(void)snprintf(
		    errand->message, sizeof errand->message, "not sent: the controller is stopping");
		finish(errand, ERRAND_FAILED);
		return;
	}
	buf_init(&body, BODY_BYTES);
	if (is_about_pod(errand->kind))
		write_pod_action(errand, &body);
	else
		write_revision_action(errand, &body);
	buf_release(&body);
}

void errand_start(struct errand *errand)
{
	must(errand->end == ERRAND_OPEN);
	if (errand->kind == ACTION_DELETE_POD && errand->rests_on_absence && errand->node_name != NULL)
		read_live(errand, actions_node_path(errand->node_name));
	else
		write_action(errand);
}

void errand_verify(struct errand *errand)
{
	must(errand->end == ERRAND_UNKNOWN);
	read_live(errand, actions_pod_path(errand->base->set.namespace_name, errand->name));
}

/* ---- what a write's answer means ------------------------------------------------------------ */

static bool is_namespace_going(const struct kube_answer *answer)
{
	static const char cause[] = "NamespaceTerminating";

	if (answer->result == KUBE_NOT_FOUND)
		return true; /* gone already */
	return answer->result == KUBE_FORBIDDEN && answer->body != NULL &&
	       memmem(answer->body, answer->body_len, cause, sizeof cause - 1) != NULL;
}

static void on_created(struct errand *errand, const struct kube_answer *answer)
{
	const char *namespace_name = errand->base->set.namespace_name;

	if (answer->result == KUBE_EXISTS && errand->kind == ACTION_CREATE_POD) {
		read_live(errand, actions_pod_path(namespace_name, errand->name));
	} else if (answer->result == KUBE_EXISTS) {
		char name[REVISION_NAME_BYTES];

		revision_name(name, errand->base->set.name, errand->base->hash);
		read_live(errand, actions_revision_path(namespace_name, name));
	} else if (is_namespace_going(answer)) {
		finish(errand, ERRAND_FUTILE);
	} else {
		fail(errand, answer);
	}
}

/* What was to be changed is gone, or another one under its name: fine for what only takes away. */
static bool is_moot(enum action_kind kind, enum kube_result result)
{
	switch (kind) {
	case ACTION_DELETE_POD:
	case ACTION_DELETE_REVISION:
	case ACTION_DELETE_DUPLICATE:
	case ACTION_ADOPT_POD: /* its end wakes us */
	case ACTION_ADOPT_REVISION: return result == KUBE_NOT_FOUND || result == KUBE_CONFLICT;
	case ACTION_RELEASE_POD:
	case ACTION_RELEASE_REVISION: /* K-4 */
		return result == KUBE_NOT_FOUND || result == KUBE_CONFLICT || result == KUBE_INVALID;
	case ACTION_LABEL_REVISION:
	case ACTION_RENUMBER_REVISION:
	case ACTION_CREATE_REVISION:
	case ACTION_RELABEL_POD:
	case ACTION_CREATE_POD: break;
	}
	return false;
}

static void on_written(void *arg, const struct kube_answer *answer)
{
	struct errand *errand = arg;
	bool is_counted = errand->kind == ACTION_CREATE_POD || errand->kind == ACTION_DELETE_POD;

	errand->is_written = false;
	errand->result = answer->result;
	if (answer->result == KUBE_OK) {
		errand_version(errand->version, answer);
		finish(errand, ERRAND_DONE);
	} else if (is_moot(errand->kind, answer->result)) {
		finish(errand, ERRAND_MOOT);
	} else if (answer->unknown && is_counted) { /* the others may be repeated */
		(void)snprintf(errand->message, sizeof errand->message, "%s", answer->message);
		finish(errand, ERRAND_UNKNOWN);
	} else if (errand->kind == ACTION_CREATE_POD || errand->kind == ACTION_CREATE_REVISION) {
		on_created(errand, answer);
	} else {
		fail(errand, answer);
	}
}

/* ---- what a read's answer means ------------------------------------------------------------- */

static void take_next_name(struct errand *errand)
{
	if (errand->attempt < ERRAND_ATTEMPTS) {
		errand->attempt++;
		write_action(errand);
		return;
	}
	(void)snprintf(
	    errand->message, sizeof errand->message, "all names up to '%s' are held by others", errand->name);
	finish(errand, ERRAND_FAILED);
}

static bool is_ours(const struct errand *errand, const struct kube_meta *meta)
{
	return meta->controller.kind != NULL && strcmp(meta->controller.uid, errand->base->set.uid) == 0;
}

/* Somebody has the name that we wanted. */
static void judge_holder(struct errand *errand, const struct pod *pod)
{
	if (!is_ours(errand, &pod->meta) || (pod_is_terminal(pod) && pod_is_terminating(pod))) {
		take_next_name(errand);
		return;
	}
	(void)snprintf(errand->version, sizeof errand->version, "%s", pod->meta.resource_version);
	finish(errand, ERRAND_HELD);
}

/* The name was free again when we looked. */
static void try_again(struct errand *errand)
{
	if (errand->repeats++ == 0) {
		write_action(errand);
		return;
	}
	(void)snprintf(errand->message, sizeof errand->message, "the name '%s' comes and goes", errand->name);
	finish(errand, ERRAND_FAILED);
}

/* Of an unknown write: did it happen? */
static enum errand_end verdict(const struct errand *errand, const struct pod *pod)
{
	if (errand->kind == ACTION_CREATE_POD)
		return is_ours(errand, &pod->meta) ? ERRAND_DONE : ERRAND_MOOT;
	return strcmp(pod->meta.uid, errand->uid) == 0 && !pod_is_terminating(pod) ? ERRAND_MOOT
										   : ERRAND_DONE;
}

static void judge_pod(struct errand *errand, const cJSON *tree)
{
	struct pod *pod = NULL;
	struct err err = {.code = 0};

	if (pod_read(&pod, tree, &err) != 0) {
		(void)snprintf(errand->message, sizeof errand->message, "%.255s", err.text);
		finish(errand, ERRAND_FAILED);
		return;
	}
	if (errand->end == ERRAND_UNKNOWN) {
		(void)snprintf(errand->version, sizeof errand->version, "%s", pod->meta.resource_version);
		finish(errand, verdict(errand, pod));
	} else {
		judge_holder(errand, pod);
	}
	pod_free(pod);
}

/* H-6: the same content under our name is what we wanted. */
static void judge_revision(struct errand *errand, const cJSON *tree)
{
	const struct buf *data = &errand->base->data;
	struct revision *revision = NULL;
	struct err err = {.code = 0};
	bool is_same;

	if (revision_read(&revision, tree, &err) != 0) {
		(void)snprintf(errand->message, sizeof errand->message, "%.255s", err.text);
		finish(errand, ERRAND_FAILED);
		return;
	}
	is_same = is_ours(errand, &revision->meta) && revision->data_len == data->len &&
		  memcmp(revision->data, data->data, data->len) == 0;
	(void)snprintf(errand->version, sizeof errand->version, "%s", revision->meta.resource_version);
	revision_free(revision);
	(void)snprintf(
	    errand->message, sizeof errand->message, "the hash of this template is taken by another");
	finish(errand, is_same ? ERRAND_MOOT : ERRAND_COLLISION);
}

static void on_absent(struct errand *errand)
{
	if (errand->end == ERRAND_UNKNOWN)
		finish(errand, errand->kind == ACTION_CREATE_POD ? ERRAND_MOOT : ERRAND_DONE);
	else if (errand->kind == ACTION_DELETE_POD)
		write_action(errand); /* the node is really not there */
	else
		try_again(errand);
}

static void on_present(struct errand *errand, const struct kube_answer *answer)
{
	cJSON *tree = answer->body != NULL ? cJSON_ParseWithLength(answer->body, answer->body_len) : NULL;

	if (errand->end != ERRAND_UNKNOWN && errand->kind == ACTION_DELETE_POD)
		finish(errand, ERRAND_UNFOUNDED);
	else if (errand->kind == ACTION_CREATE_REVISION)
		judge_revision(errand, tree);
	else
		judge_pod(errand, tree);
	cJSON_Delete(tree);
}

static void on_looked(void *arg, const struct kube_answer *answer)
{
	struct errand *errand = arg;

	errand->request = NULL;
	errand->result = answer->result;
	if (answer->result == KUBE_OK)
		on_present(errand, answer);
	else if (answer->result == KUBE_NOT_FOUND)
		on_absent(errand);
	else
		fail(errand, answer);
}
