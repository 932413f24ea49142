/* Tells when the files of the configuration have changed: at once where inotify sees it, else within two
 * seconds. */
#ifndef DRAVE_COLLECTOR_CONF_WATCH_H
#define DRAVE_COLLECTOR_CONF_WATCH_H

#include <uv.h>

#include "conf/sources.h"

struct conf_watch;

/* conf_path: where hints are waited for, in its directory.  It looks at nothing before conf_watch_follow. */
struct conf_watch *conf_watch_new(
    uv_loop_t *loop, const char *conf_path, void (*changed)(void *arg), void *arg);
/* These are the files now, as they were at their stamp; takes them.  `changed` is called, from the loop, when
 * they are no more so and rest, and again at the next look unless it leads to another conf_watch_follow. */
void conf_watch_follow(struct conf_watch *watch, struct sources *sources);
/* No more calls until the next conf_watch_follow. */
void conf_watch_rest(struct conf_watch *watch);
void conf_watch_close(struct conf_watch *watch);

#endif
