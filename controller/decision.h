/* What one sync wants done: a list of actions in the order in which they may be done.  Pure.
 *
 * Kinds are sorted by stage; a stage begins when the one before it has ended without an error.  The core only fills this; reconcile acts. */
#ifndef DRAVE_CONTROLLER_DECISION_H
#define DRAVE_CONTROLLER_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/collector_set.h"
#include "controller/node.h"
#include "controller/pod.h"
#include "controller/retry_table.h"
#include "controller/revision.h"

/* C-1: creates and deletes of one sync. */
#define DECISION_BURST 250

enum action_kind {
	/* the history's stage (K-6, H-4 to H-7) */
	ACTION_ADOPT_REVISION,
	ACTION_RELEASE_REVISION,
	ACTION_LABEL_REVISION,  /* H-7: the hash label becomes its name */
	ACTION_RENUMBER_REVISION, /* H-4: number */
	ACTION_CREATE_REVISION, /* number; the template is the set's, the hash the decision's */
	ACTION_RELABEL_POD,     /* H-5: hash */
	ACTION_DELETE_DUPLICATE, /* H-5 */
	/* the claims (K-1 to K-5) */
	ACTION_ADOPT_POD,
	ACTION_RELEASE_POD,
	/* the pods (L-, R-, X-) */
	ACTION_CREATE_POD,
	ACTION_DELETE_POD,
	/* cleaning up (H-8) */
	ACTION_DELETE_REVISION,
};

struct action {
	enum action_kind kind;
	const struct node *node;         /* CREATE_POD */
	const struct pod *pod;           /* pods' actions but CREATE_POD */
	const struct revision *revision; /* revisions' actions but CREATE_REVISION */
	int64_t number;                  /* RENUMBER, CREATE_REVISION */
	const char *hash;                /* RELABEL_POD: lent from the kept revision */
	const char *reason;              /* DELETE_POD: static text for people: "outdated", "node does not match", "failed" */
	bool rests_on_absence;           /* DELETE_POD because a node is not in the cache (L-11): a quorum GET comes first (DESIGN 4.11) */
};

enum note_type { NOTE_NORMAL, NOTE_WARNING };
struct note { /* an event that the core wants to be sent */
	enum note_type type;
	const char *reason; /* static: "FailedDaemonPod" */
	char message[320];
};

struct decision {
	struct action *actions;
	size_t action_count, action_room;
	struct note *notes;
	size_t note_count, note_room;
	char hash[POD_HASH_BYTES];     /* of the set's template now: what "updated" means */
	int64_t requeue_after_ms;      /* 0 = not needed */
	bool is_idle;                  /* the set may not be acted on (being deleted, empty selector, complaint) */
	bool waits;                    /* expectations were unsatisfied: status only, without observed_generation (P-5) */
};

/* What a sync sees: borrowed for the call.  All arrays may come in any order; results do not depend on it. */
struct view {
	const struct collector_set *set;
	const struct node *const *nodes;
	size_t node_count;
	const struct pod *const *pods; /* of the set's namespace: ours (by UID) and orphans at least; others are ignored */
	size_t pod_count;
	const struct revision *const *revisions; /* the same */
	size_t revision_count;
	struct retry_table *retries; /* asked and told */
	int64_t now_ms;              /* wall clock, since 1970 */
	bool is_satisfied;           /* expectations (P-1) */
};

void decision_init(struct decision *decision);
void decision_release(struct decision *decision);
struct action *decision_add(struct decision *decision, enum action_kind kind);
void decision_note(struct decision *decision, enum note_type type, const char *reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
size_t decision_count(const struct decision *decision, enum action_kind kind);
const char *action_kind_text(enum action_kind kind);

#endif
