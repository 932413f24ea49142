/* What the controller shows: /metrics, /livez, /readyz, /status, and a page for people at /. */
#ifndef DRAVE_CONTROLLER_STATUS_PAGE_H
#define DRAVE_CONTROLLER_STATUS_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/admin.h"
#include "common/metric.h"
#include "controller/lease.h"
#include "controller/reconcile.h"
#include "controller/recorder.h"
#include "controller/store.h"
#include "controller/strangers.h"
#include "controller/writer.h"

/* Filled and kept true by the controller; all borrowed. */
struct status_page {
	const char *state; /* "syncing", "standby", "leading", "stopping" */
	bool is_leading;   /* acts */
	bool is_stopping;
	const char *served; /* namespace or "*" */
	const char *identity;
	const char *server; /* the API server's URL */
	uint64_t started_ms;
	struct metric_table *metrics;
	const struct kube_client *client; /* NULL once closed, as all that follow */
	struct store *store;
	struct strangers *strangers;
	struct reflector *const *reflectors; /* STORE_KINDS of them */
	const struct lease *lease;           /* NULL: no election */
	const struct writer *writer;
	const struct recorder *recorder;
	const struct reconcile *reconcile;
};

/* For admin_open, with the struct status_page as its arg. */
extern const struct admin_page status_page_table[];
/* Brings all gauges of the program up to date; before each exposition. */
void status_page_measure(void *status_page);
void status_page_write(struct status_page *page, struct buf *out);

#endif
