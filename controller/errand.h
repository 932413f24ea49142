/* One action on its way: its live reads, its write, and what became of it.
 *
 *   WAITING -> (delete that rests on an absence) CHECKING -> WRITING -> (the name is taken) LOOKING ->
 * WRITING (next name) -> ENDED ENDED as unknown -> (later) DOUBTED -> ENDED
 *
 * It carries all that it needs: what the decision pointed at may be gone by then. */
#ifndef DRAVE_CONTROLLER_ERRAND_H
#define DRAVE_CONTROLLER_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kube_client.h"
#include "controller/decision.h"
#include "controller/pod_template.h"
#include "controller/writer.h"

#define ERRAND_ATTEMPTS 9 /* names of a pod: the first, -2, ... */

enum errand_end {
	ERRAND_OPEN,      /* not yet */
	ERRAND_DONE,      /* the server did it */
	ERRAND_MOOT,      /* nothing left to do: it was gone, or another one under its name */
	ERRAND_HELD,      /* a pod's name is held by a pod of ours: wait for what becomes of that */
	ERRAND_UNFOUNDED, /* a delete's reason turned out wrong: the node is there */
	ERRAND_FUTILE,    /* the namespace is going: nothing can be made there any more */
	ERRAND_COLLISION, /* a revision's name is held by other content (H-6) */
	ERRAND_UNKNOWN,   /* it may have been done */
	ERRAND_REFUSED,   /* 400, 422: the same again cannot help */
	ERRAND_FORBIDDEN, /* 403: quota, rights; admission policies and webhooks, whatever their code */
	ERRAND_FAILED,    /* all else */
};

/* What the errands of one sync share; kept until the last of them has ended. */
struct errand;

struct errand_base {
	struct kube_client *client;
	struct writer *writer;
	struct kube_meta set; /* name, namespace_name, uid only; owned by the base's keeper */
	char hash[POD_HASH_BYTES];
	struct pod_mould *mould;  /* for CREATE_POD */
	struct buf revision_body; /* for CREATE_REVISION */
	struct buf data;          /* the same revision's content */
	bool is_stopping;         /* nothing new is sent */
	/* Once for each errand_start and errand_verify; later, or from inside if it could not even begin. */
	void (*on_end)(void *arg, struct errand *errand);
	void *arg;
};

struct errand {
	struct errand_base *base; /* borrowed */
	enum action_kind kind;
	const char *reason; /* static */
	bool rests_on_absence;
	char *name, *uid; /* of the object; of a pod to be made, its name */
	char *node_name, *node_uid;
	char *hash; /* RELABEL_POD */
	int64_t number;
	unsigned attempt, repeats;
	struct kube_request *request; /* a read under way */
	bool is_written;              /* a write is in the writer */
	enum errand_end end;
	enum kube_result result;
	char version[32];  /* that the object has got, "" = unknown */
	char message[256]; /* for people, if it failed */
};

/* Takes what it needs of action. */
void errand_init(struct errand *errand, struct errand_base *base, const struct action *action);
void errand_release(struct errand *errand); /* not while it is under way */
void errand_start(struct errand *errand);
/* Of one that ended as ERRAND_UNKNOWN: a read tells DONE, or MOOT if nothing came of it, or FAILED if that is
 * still not known. */
void errand_verify(struct errand *errand);
/* Its on_end does not come any more.  Not from inside an on_end. */
void errand_cancel(struct errand *errand);
/* Is it an end that the sync has to be repeated for? */
bool errand_end_is_error(enum errand_end end);
const char *errand_end_text(enum errand_end end);
/* metadata.resourceVersion of an answer's object; "" if there is none. */
void errand_version(char out[32], const struct kube_answer *answer);

#endif
