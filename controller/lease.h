/* Leader election by a Lease (coordination.k8s.io/v1): LE-1 to LE-11.  Timed by CLOCK_BOOTTIME, so that a machine that slept does not think itself leader.
 *
 *   SEEKING -> (nobody holds it, or it has not changed for its duration) ACQUIRING -> LEADING -> (not renewed in renew_deadline) LOST
 *   release: LEADING -> holder "" -> RELEASED */
#ifndef DRAVE_CONTROLLER_LEASE_H
#define DRAVE_CONTROLLER_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/kube_client.h"

struct lease;

struct lease_options {
	const char *namespace_name, *name;
	const char *identity; /* unique to the process */
	uint64_t duration_ms, renew_deadline_ms, retry_period_ms;
};

struct lease_hooks {
	void (*on_leading)(void *arg);
	void (*on_lost)(void *arg); /* once; the program ends (LE-5) */
};

/* NULL = fine, else which rule of LE-1 is broken. */
const char *lease_check(uint64_t duration_ms, uint64_t renew_deadline_ms, uint64_t retry_period_ms);
int lease_start(struct lease **ret_lease, uv_loop_t *loop, struct kube_client *client, const struct lease_options *options,
	const struct lease_hooks *hooks, void *arg, struct err *err);
/* May a write begin now: leading, and renewed less than renew_deadline ago? */
bool lease_is_fresh(const struct lease *lease);
bool lease_is_leading(const struct lease *lease);
/* LE-10: false if it still claims to lead but could not renew for the duration. */
bool lease_is_healthy(const struct lease *lease);
const char *lease_holder(const struct lease *lease); /* "" = unknown */
uint64_t lease_transitions(const struct lease *lease);
/* LE-6: gives it back if it is ours, then on_released (also if that failed). */
void lease_release(struct lease *lease, void (*on_released)(void *arg), void *arg);
void lease_close(struct lease *lease);

/* Pure: what to do with what was read. */
struct lease_record {
	char holder[256];
	uint64_t duration_ms;
	uint64_t transitions;
	char version[32];
	char acquired[32];
};
enum lease_move { LEASE_WAIT, LEASE_TAKE, LEASE_RENEW };
/* unchanged_ms: for how long we have seen the record not change. */
enum lease_move lease_decide(const struct lease_record *record, const char *identity, uint64_t unchanged_ms);

#endif
