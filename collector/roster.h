/* The roster: the outputs that are in force, one slot each, and how they change.
 *
 * A reload walks each changed output through drain, close and a new beginning at its marks, while the unchanged ones go on undisturbed under the
 * configuration that they began with. */
#ifndef DRAVE_COLLECTOR_ROSTER_H
#define DRAVE_COLLECTOR_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/collector_conf.h"
#include "collector/follower.h"
#include "collector/pipeline.h"

struct slot;

struct roster {
	struct pipeline_env env;     /* for every pipeline; filled by the caller */
	struct follower *follower;   /* NULL until it exists: pipelines that are opened later read what it knows */
	void (*changed)(void *arg);  /* a slot is in change: roster_watch is to be called every few milliseconds until it returns false */
	void *arg;
	/* private: */
	struct slot *slots;
	bool is_closing;
	void (*closed)(void *arg);
};

/* Opens all outputs of conf.  On an error those opened so far stay, for roster_close. */
int roster_open(struct roster *roster, struct collector_conf *conf, struct err *err);
/* The follower's first look over everything has ended: what it finds from now on is new to all outputs. */
void roster_end_stock(struct roster *roster);
/* Makes the outputs those of conf: starts new ones, and has the changed and removed ones leave, each with the configuration's shutdown_timeout. */
void roster_apply(struct roster *roster, struct collector_conf *conf);
/* Moves slots in change on; true while there are any. */
bool roster_watch(struct roster *roster, uint64_t now_ms);

/* Some reads of every pipeline; true if more could be done at once. */
bool roster_turn(struct roster *roster, uint64_t now_ms);
/* Does any output want this container?  Also true while one is between two configurations. */
bool roster_wants(const struct roster *roster, const struct origin *origin);
void roster_adopt(struct roster *roster, struct tail *tail, struct segment *segment);
/* The container's pod is excluded, and is not any more. */
void roster_dismiss(struct roster *roster, const struct container *container);
void roster_readopt(struct roster *roster, struct container *container);
void roster_flush(struct roster *roster);
void roster_drain(struct roster *roster);
bool roster_is_drained(const struct roster *roster);
bool roster_has_read_all(const struct roster *roster);
uint64_t roster_acked_bytes(const struct roster *roster);
uint64_t roster_lag_bytes(const struct roster *roster);
void roster_each(const struct roster *roster, void (*visit)(void *visitor, struct pipeline *pipeline), void *visitor);
/* Closes all pipelines; closed(roster->arg) comes once, at once if there are none. */
void roster_close(struct roster *roster, void (*closed)(void *arg));
/* After it. */
void roster_release(struct roster *roster);

#endif
