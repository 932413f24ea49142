/* One question after the other to the API server, each waited for: what the commands use that run and end
 * (--explain, rollout).
 *
 * Has a loop of its own. */
#ifndef DRAVE_CONTROLLER_SESSION_H
#define DRAVE_CONTROLLER_SESSION_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/kube_client.h"

struct cJSON;
struct session;

/* kubeconfig and context: as of kube_config_load_context.  -errno with a sentence. */
int session_open(
    struct session **ret_session, const char *kubeconfig, const char *context_name, struct err *err);
/* NULL is fine. */
void session_close(struct session *session);
/* Of the kubeconfig's context or the service account. */
const char *session_namespace(const struct session *session);

struct session_reply {
	enum kube_result result;
	char *message;      /* a sentence if it is not KUBE_OK; owned */
	struct cJSON *tree; /* with KUBE_OK; owned */
};
/* body NULL: none; content_type NULL: JSON. */
void session_ask(struct session *session, const char *method, const char *path, const char *content_type,
    const char *body, struct session_reply *ret_reply);
void session_reply_release(struct session_reply *reply);
/* Each item of a collection, page by page, lent to on_item (false ends it).  KUBE_FORBIDDEN etc. with the
 * sentence in err. */
enum kube_result session_list(struct session *session, const char *path,
    bool (*on_item)(void *arg, const struct cJSON *item), void *arg, struct err *err);
/* Waits; the loop turns meanwhile. */
void session_sleep(struct session *session, uint64_t ms);

/* Appends text as it may stand in a path or query (RFC 3986: unreserved as it is, all else by percent). */
void session_add_escaped(struct buf *out, const char *text);

#endif
