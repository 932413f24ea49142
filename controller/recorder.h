/* Events (events.k8s.io/v1) about a set: fire and forget, never waited for, dropped when there are too many (1.16, 2.7). */
#ifndef DRAVE_CONTROLLER_RECORDER_H
#define DRAVE_CONTROLLER_RECORDER_H

#include <stdint.h>
#include <uv.h>

#include "common/kube_client.h"
#include "common/kube_object.h"
#include "controller/decision.h"

struct recorder;

struct recorder_counts {
	uint64_t sent, dropped;
};

/* may_write as for the writer; identity: reportingInstance. */
struct recorder *recorder_new(uv_loop_t *loop, struct kube_client *client, const char *identity, bool (*may_write)(void *arg), void *arg);
void recorder_close(struct recorder *recorder);
/* 25 for each set, then one every 300 s; a repeated one becomes a series. */
void recorder_note(struct recorder *recorder, const struct kube_meta *set, enum note_type type, const char *reason, const char *message);
struct recorder_counts recorder_counts(const struct recorder *recorder);

#endif
