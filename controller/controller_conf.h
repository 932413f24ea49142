/* The controller's configuration: [controller], its option rows and the struct that they fill. */
#ifndef DRAVE_CONTROLLER_CONTROLLER_CONF_H
#define DRAVE_CONTROLLER_CONTROLLER_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "conf/bind.h"
#include "conf/ini.h"

struct controller_conf {
	char *kubeconfig;      /* NULL: in-cluster, else $KUBECONFIG, else ~/.kube/config */
	char *namespace_name;  /* key `namespace`; NULL: its own; "*" = all */
	char *listen;          /* 127.0.0.1:9819 */
	int log_level, log_format;
	bool leader_election;  /* on */
	char *lease_name;      /* drave-controller */
	char *lease_namespace; /* NULL: its own */
	uint64_t lease_duration_ms, renew_deadline_ms, retry_period_ms; /* 15s 10s 2s */
};

/* Reads path (NULL: defaults only; a missing default file is no error if `may_be_missing`), overrides on top.  NULL with errors in the complaints. */
struct controller_conf *controller_conf_load(const char *path, bool may_be_missing, const char *const *overrides, struct ini_complaints *complaints);
void controller_conf_free(struct controller_conf *conf);
/* The first key that differs and that a running controller cannot change, or NULL: all but log_level and log_format. */
const char *controller_conf_fixed_difference(const struct controller_conf *a, const struct controller_conf *b);
void controller_conf_print(const struct controller_conf *conf, struct buf *out);
void controller_conf_print_sample(struct buf *out);
void controller_conf_print_man(struct buf *out);

#endif
