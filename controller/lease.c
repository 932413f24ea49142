/* Lease.  One object on the API server says who acts; we read it, write it, and judge its age by our own
 * clock.
 *
 *   SEEKING --read--> (decide: wait) SEEKING
 *                     (decide: take, renew; or there is none) --write--> LEADING
 *   LEADING --write from the remembered object; after a conflict read first--> LEADING
 *           --not renewed for renew_deadline, or another holder seen--> LOST
 *   any     --lease_release--> RELEASING --write holder ""--> ENDED
 *
 * A holder is taken for dead when its record did not change before our eyes for the duration that it names:
 * the times written in the record are never compared with our clock (LE-2).  A renewal counts from the moment
 * it was asked for, since the others may have seen it that early.  Writes start from the object as it was
 * read, so fields of newer servers stay (strategy, preferredHolder).
 *
 * Stands beside the controller.  Owns its request, its timers and the remembered object.  Is no fence (LE-8):
 * what makes a late write of an old leader harmless are UIDs, versions and names, not this. */
#include "config.h"
#include "controller/lease.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/kube_object.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE  "lease"
#define LEASES      "/apis/coordination.k8s.io/v1/namespaces/%s/leases"
#define HOPS_MAX    4 /* requests one after the other without waiting */
#define BODY_BYTES  (1u << 20)
#define TIMEOUT_MIN 500

enum lease_state { LEASE_SEEKING, LEASE_LEADING, LEASE_RELEASING, LEASE_ENDED };

struct lease {
	uv_loop_t *loop;
	struct kube_client *client; /* borrowed */
	char *namespace_name, *name, *identity;
	uint64_t duration_ms, renew_deadline_ms, retry_period_ms;
	struct lease_hooks hooks;
	void *arg;
	enum lease_state state;
	struct kube_request *request; /* at most one; NULL = none */
	bool is_writing;              /* what the request is */
	uint64_t asked_ms;            /* when it began */
	unsigned hops, attempts;
	cJSON *object;              /* as last read or answered; NULL = none */
	struct lease_record record; /* what it says */
	uint64_t changed_ms;        /* when its spec last changed in our eyes */
	uint64_t renewed_ms;        /* LEADING: when the last renewal that worked was asked for */
	bool is_held;               /* as far as we know the record names us: to be given back */
	bool released_again;        /* the one repetition after a conflict */
	void (*on_released)(void *arg);
	void *released_arg;
	uv_timer_t retry, deadline;
	unsigned open_handles;
};

static void start_read(struct lease *lease);
static void start_write(struct lease *lease);

/* ---- judging
 * ------------------------------------------------------------------------------------------------------ */

const char *lease_check(uint64_t duration_ms, uint64_t renew_deadline_ms, uint64_t retry_period_ms)
{
	if (duration_ms % 1000 != 0 || duration_ms == 0)
		return "lease_duration must be whole seconds";
	if (duration_ms <= renew_deadline_ms)
		return "lease_duration must be longer than renew_deadline";
	if (retry_period_ms == 0)
		return "retry_period must be longer than 0";
	if (renew_deadline_ms * 5 <= retry_period_ms * 6)
		return "renew_deadline must be longer than 1.2 x retry_period";
	return NULL;
}

enum lease_move lease_decide(const struct lease_record *record, const char *identity, uint64_t unchanged_ms)
{
	if (strcmp(record->holder, identity) == 0)
		return LEASE_RENEW;
	if (record->holder[0] == '\0' || unchanged_ms >= record->duration_ms)
		return LEASE_TAKE;
	return LEASE_WAIT;
}

bool lease_is_leading(const struct lease *lease)
{
	return lease->state == LEASE_LEADING;
}

bool lease_is_fresh(const struct lease *lease)
{
	return lease->state == LEASE_LEADING &&
	       clock_boottime_ms() - lease->renewed_ms < lease->renew_deadline_ms;
}

bool lease_is_healthy(const struct lease *lease)
{
	return lease->state != LEASE_LEADING || clock_boottime_ms() - lease->renewed_ms < lease->duration_ms;
}

const char *lease_holder(const struct lease *lease)
{
	return lease->record.holder;
}

uint64_t lease_transitions(const struct lease *lease)
{
	return lease->record.transitions;
}

/* ---- the object
 * --------------------------------------------------------------------------------------------------- */

static bool read_record(
    const struct lease *lease, const cJSON *object, struct lease_record *ret_record, struct err *err)
{
	const cJSON *meta, *spec;
	const char *holder, *version, *acquired;
	int64_t seconds, transitions;

	if (!kube_child(object, "metadata", &meta, err) || !kube_child(object, "spec", &spec, err) ||
	    !kube_text(meta, "resourceVersion", &version, err) ||
	    !kube_text(spec, "holderIdentity", &holder, err) ||
	    !kube_text(spec, "acquireTime", &acquired, err) ||
	    !kube_number(spec, "leaseDurationSeconds", 0, &seconds, err) ||
	    !kube_number(spec, "leaseTransitions", 0, &transitions, err))
		return false;
	*ret_record = (struct lease_record){
	    .duration_ms = seconds > 0 && seconds < INT32_MAX ? (uint64_t)seconds * 1000 : lease->duration_ms,
	    .transitions = transitions > 0 ? (uint64_t)transitions : 0,
	};
	(void)snprintf(ret_record->holder, sizeof ret_record->holder, "%s", holder != NULL ? holder : "");
	(void)snprintf(ret_record->version, sizeof ret_record->version, "%s", version != NULL ? version : "");
	(void)snprintf(
	    ret_record->acquired, sizeof ret_record->acquired, "%s", acquired != NULL ? acquired : "");
	return true;
}

/* Remembers what the server answered. */
static bool observe(struct lease *lease, const struct kube_answer *answer, struct err *err)
{
	cJSON *object = cJSON_ParseWithLength(answer->body, answer->body_len);
	struct lease_record record;

	if (object == NULL || !read_record(lease, object, &record, err)) {
		if (object == NULL)
			(void)err_set(err, -EBADMSG, "the answer is no JSON");
		cJSON_Delete(object);
		return false;
	}
	if (lease->object == NULL || !cJSON_Compare(cJSON_GetObjectItemCaseSensitive(lease->object, "spec"),
					 cJSON_GetObjectItemCaseSensitive(object, "spec"), true))
		lease->changed_ms = clock_boottime_ms();
	if (lease->state == LEASE_SEEKING && strcmp(record.holder, lease->record.holder) != 0 &&
	    record.holder[0] != '\0' && strcmp(record.holder, lease->identity) != 0)
		log_info("another controller leads, standing by", "holder=%s", log_quote(record.holder));
	cJSON_Delete(lease->object);
	lease->object = object;
	lease->record = record;
	lease->is_held = strcmp(record.holder, lease->identity) == 0;
	return true;
}

static void forget(struct lease *lease)
{
	cJSON_Delete(lease->object);
	lease->object = NULL;
	lease->record = (struct lease_record){.holder = ""};
	lease->is_held = false;
}

static void set_item(cJSON *object, const char *key, cJSON *item)
{
	must(item != NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(object, key);
	must(cJSON_AddItemToObject(object, key, item));
}

static cJSON *get_or_add(cJSON *object, const char *key)
{
	cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (item == NULL)
		item = cJSON_AddObjectToObject(object, key);
	must(item != NULL);
	return item;
}

/* The object as it shall be: ours from now on, or nobody's. */
static char *make_body(const struct lease *lease)
{
	bool gives_back = lease->state == LEASE_RELEASING;
	cJSON *object = lease->object != NULL ? cJSON_Duplicate(lease->object, true) : cJSON_CreateObject(),
	      *meta, *spec;
	char now[KUBE_TIME_BYTES], *text;
	uint64_t transitions = lease->record.transitions;

	kube_micro_time_format(now, clock_wall_ns() / 1000);
	must(object != NULL);
	set_item(object, "apiVersion", cJSON_CreateString("coordination.k8s.io/v1"));
	set_item(object, "kind", cJSON_CreateString("Lease"));
	meta = get_or_add(object, "metadata");
	set_item(meta, "namespace", cJSON_CreateString(lease->namespace_name));
	set_item(meta, "name", cJSON_CreateString(lease->name));
	spec = get_or_add(object, "spec");
	if (!gives_back && !lease->is_held) { /* it changes hands */
		set_item(spec, "acquireTime", cJSON_CreateString(now));
		transitions += lease->object != NULL;
	}
	set_item(spec, "holderIdentity", cJSON_CreateString(gives_back ? "" : lease->identity));
	set_item(spec, "leaseDurationSeconds",
	    cJSON_CreateNumber(gives_back ? 1 : (double)(lease->duration_ms / 1000)));
	set_item(spec, "renewTime", cJSON_CreateString(now));
	set_item(spec, "leaseTransitions", cJSON_CreateNumber((double)transitions));
	text = cJSON_PrintUnformatted(object);
	must(text != NULL);
	cJSON_Delete(object);
	return text;
}

/* ---- moves
 * -------------------------------------------------------------------------------------------------------- */

static void on_retry(uv_timer_t *timer);

/* In a retry period, and up to a fifth more, so that many do not come at once (LE-1). */
static void schedule(struct lease *lease)
{
	uint64_t more = backoff_ms(1, lease->retry_period_ms / 5, lease->retry_period_ms / 5,
	    clock_boottime_ms() + lease->attempts++);

	lease->hops = 0;
	uv_timer_start(&lease->retry, on_retry, lease->retry_period_ms + more, 0);
}

static void stop(struct lease *lease)
{
	if (lease->request != NULL)
		kube_cancel(lease->request);
	lease->request = NULL;
	uv_timer_stop(&lease->retry);
	uv_timer_stop(&lease->deadline);
}

static void lose(struct lease *lease, const char *why)
{
	stop(lease);
	lease->state = LEASE_ENDED;
	lease->is_held = false;
	log_error(
	    "the lease is lost", "reason=%s holder=%s", log_quote(why), log_quote(lease->record.holder));
	lease->hooks.on_lost(lease->arg);
}

static void on_finished(uv_timer_t *timer)
{
	struct lease *lease = timer->data;

	lease->on_released(lease->released_arg);
}

static void finish_release(struct lease *lease)
{
	lease->state = LEASE_ENDED;
	uv_timer_start(&lease->retry, on_finished, 0, 0);
}

static void on_deadline(uv_timer_t *timer)
{
	struct lease *lease = timer->data;

	if (lease->state == LEASE_LEADING && !lease_is_fresh(lease))
		lose(lease, "not renewed within renew_deadline");
	else if (lease->state == LEASE_LEADING) /* a clock's rounding */
		uv_timer_start(&lease->deadline, on_deadline, 1, 0);
}

static void on_retry(uv_timer_t *timer)
{
	struct lease *lease = timer->data;

	if (lease->state == LEASE_LEADING &&
	    !lease_is_fresh(lease)) /* the machine slept: the other timer slept too */
		lose(lease, "not renewed within renew_deadline");
	else if (lease->state == LEASE_LEADING && lease->object != NULL)
		start_write(lease);
	else
		start_read(lease);
}

static void renewed(struct lease *lease)
{
	uint64_t age_ms = clock_boottime_ms() - lease->asked_ms;
	bool is_new = lease->state == LEASE_SEEKING;

	lease->renewed_ms = lease->asked_ms;
	lease->state = LEASE_LEADING;
	uv_timer_start(&lease->deadline, on_deadline,
	    age_ms < lease->renew_deadline_ms ? lease->renew_deadline_ms - age_ms : 0, 0);
	schedule(lease);
	if (is_new) {
		log_info("leading", "lease=%s identity=%s transitions=%" PRIu64, log_quote(lease->name),
		    log_quote(lease->identity), lease->record.transitions);
		lease->hooks.on_leading(lease->arg);
	}
}

/* The record is known: what now? */
static void move(struct lease *lease)
{
	enum lease_move wanted =
	    lease_decide(&lease->record, lease->identity, clock_boottime_ms() - lease->changed_ms);

	if (lease->state == LEASE_RELEASING) {
		if (wanted == LEASE_RENEW && !lease->released_again) {
			lease->released_again = true;
			start_write(lease);
		} else {
			finish_release(lease);
		}
	} else if (lease->state == LEASE_LEADING && !lease->is_held && lease->record.holder[0] != '\0') {
		lose(lease, "another controller took it");
	} else if (wanted == LEASE_WAIT || lease->hops >= HOPS_MAX) {
		schedule(lease);
	} else {
		start_write(lease);
	}
}

/* ---- requests
 * ----------------------------------------------------------------------------------------------------- */

static void failed(struct lease *lease, const char *what, const char *message)
{
	log_warn("the lease is out of reach", "doing=%s lease=%s error=%s", what, log_quote(lease->name),
	    log_quote(message));
	if (lease->state == LEASE_RELEASING)
		finish_release(lease);
	else
		schedule(lease);
}

static void on_read(void *arg, const struct kube_answer *answer)
{
	struct lease *lease = arg;
	struct err err = {0};

	lease->request = NULL;
	if (answer->result == KUBE_NOT_FOUND && lease->state == LEASE_RELEASING) {
		finish_release(lease);
	} else if (answer->result == KUBE_NOT_FOUND) {
		forget(lease);
		start_write(lease);
	} else if (answer->result != KUBE_OK) {
		failed(lease, "reading", answer->message);
	} else if (!observe(lease, answer, &err)) {
		failed(lease, "reading", err.text);
	} else {
		move(lease);
	}
}

static void on_written(void *arg, const struct kube_answer *answer)
{
	struct lease *lease = arg;
	struct err err = {0};
	bool was_faster = answer->result == KUBE_CONFLICT || answer->result == KUBE_EXISTS ||
			  answer->result == KUBE_NOT_FOUND;

	lease->request = NULL;
	if (was_faster && lease->hops < HOPS_MAX) {
		start_read(lease);
	} else if (answer->result != KUBE_OK) {
		failed(lease, "writing", answer->message);
	} else if (!observe(
		       lease, answer, &err)) { /* it was written, but we do not know the version: read it */
		start_read(lease);
	} else if (lease->state == LEASE_RELEASING && !lease->is_held) {
		finish_release(lease);
	} else if (lease->state == LEASE_RELEASING) { /* a renewal that was under way */
		start_write(lease);
	} else {
		renewed(lease);
	}
}

/* body: taken; NULL = read. */
static void start(struct lease *lease, const char *method, const char *path, char *body)
{
	struct kube_call call = {
	    .method = method,
	    .path = path,
	    .body = body,
	    .body_len = body != NULL ? strlen(body) : 0,
	    .timeout_ms =
		lease->renew_deadline_ms / 2 > TIMEOUT_MIN ? lease->renew_deadline_ms / 2 : TIMEOUT_MIN,
	    .body_limit = BODY_BYTES,
	    .on_end = body != NULL ? on_written : on_read,
	    .arg = lease,
	};
	struct err err = {0};

	must(lease->request == NULL);
	lease->hops++;
	lease->is_writing = body != NULL;
	lease->asked_ms = clock_boottime_ms();
	if (kube_start(lease->client, &call, &lease->request, &err) != 0) {
		lease->request = NULL;
		failed(lease, body != NULL ? "writing" : "reading", err.text);
	}
	cJSON_free(body);
}

static void start_read(struct lease *lease)
{
	char *path = xasprintf(LEASES "/%s", lease->namespace_name, lease->name);

	start(lease, "GET", path, NULL);
	free(path);
}

static void start_write(struct lease *lease)
{
	bool is_there = lease->object != NULL;
	char *path = is_there ? xasprintf(LEASES "/%s", lease->namespace_name, lease->name)
			      : xasprintf(LEASES, lease->namespace_name);

	start(lease, is_there ? "PUT" : "POST", path, make_body(lease));
	free(path);
}

/* ---- beginning and ending
 * ----------------------------------------------------------------------------------------- */

int lease_start(struct lease **ret_lease, uv_loop_t *loop, struct kube_client *client,
    const struct lease_options *options, const struct lease_hooks *hooks, void *arg, struct err *err)
{
	const char *complaint =
	    lease_check(options->duration_ms, options->renew_deadline_ms, options->retry_period_ms);
	struct lease *lease;

	if (complaint != NULL)
		return err_set(err, -EINVAL, "%s", complaint);
	lease = x_new(lease);
	lease->loop = loop;
	lease->client = client;
	lease->namespace_name = xstrdup(options->namespace_name);
	lease->name = xstrdup(options->name);
	lease->identity = xstrdup(options->identity);
	lease->duration_ms = options->duration_ms;
	lease->renew_deadline_ms = options->renew_deadline_ms;
	lease->retry_period_ms = options->retry_period_ms;
	lease->hooks = *hooks;
	lease->arg = arg;
	must(uv_timer_init(loop, &lease->retry) == 0 && uv_timer_init(loop, &lease->deadline) == 0);
	lease->retry.data = lease->deadline.data = lease;
	lease->open_handles = 2;
	uv_timer_start(&lease->retry, on_retry, 0, 0);
	*ret_lease = lease;
	return 0;
}

void lease_release(struct lease *lease, void (*on_released)(void *arg), void *arg)
{
	bool is_writing = lease->request != NULL && lease->is_writing;

	lease->on_released = on_released;
	lease->released_arg = arg;
	if (lease->state == LEASE_ENDED) {
		finish_release(lease);
		return;
	}
	lease->state = LEASE_RELEASING;
	lease->hops = 0;
	uv_timer_stop(&lease->deadline);
	uv_timer_stop(&lease->retry);
	if (is_writing) /* its answer tells whether it is ours, and of which version */
		return;
	stop(lease);
	if (lease->is_held)
		start_write(lease);
	else
		finish_release(lease);
}

static void on_closed(uv_handle_t *handle)
{
	struct lease *lease = handle->data;

	if (--lease->open_handles != 0)
		return;
	cJSON_Delete(lease->object);
	free(lease->namespace_name);
	free(lease->name);
	free(lease->identity);
	free(lease);
}

void lease_close(struct lease *lease)
{
	stop(lease);
	lease->state = LEASE_ENDED;
	uv_close((uv_handle_t *)&lease->retry, on_closed);
	uv_close((uv_handle_t *)&lease->deadline, on_closed);
}
