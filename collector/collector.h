/* The collector: builds the stages, connects them, and takes them down in order. */
#ifndef DRAVE_COLLECTOR_COLLECTOR_H
#define DRAVE_COLLECTOR_COLLECTOR_H

#include "collector/collector_conf.h"

enum collector_mode {
	COLLECTOR_FOLLOW,  /* until a signal ends it */
	COLLECTOR_ONCE,    /* to the sizes at the start, then end */
	COLLECTOR_DRY_RUN, /* the same, to standard output, without any state */
};

struct collector_args {
	enum collector_mode mode;
	const char *conf_path;        /* read again by SIGHUP */
	const char *const *overrides; /* NULL-terminated */
	struct sources sources;       /* what conf was read from; taken */
};

/* Runs until it ends by itself or by a signal, and returns the exit code (sysexits.h).  Takes the reference to conf. */
int collector_run(struct collector_args *args, struct collector_conf *conf);

#endif
