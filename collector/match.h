/* Globs over namespace/pod/container: * ? [a-z] [!a-z], each within its part.  Pure.
 *
 *   match = prod-*, team-a/api-*, !kube-system
 *
 * Missing parts match all; several by comma; ! excludes.  The last pattern that fits decides; if the first
 * pattern is an exclusion, everything else is taken. */
#ifndef DRAVE_COLLECTOR_MATCH_H
#define DRAVE_COLLECTOR_MATCH_H

#include <stdbool.h>

#include "conf/bind.h"

/* For option rows: NULL = fine, else the complaint.  Patterns that no name of Kubernetes could ever fit are
 * complained about. */
const char *match_check(const char *pattern);
/* The same for include_* and exclude_*. */
const char *match_check_name(const char *pattern);
/* An empty list takes everything. */
bool match_takes(
    const struct bind_list *patterns, const char *namespace_name, const char *pod, const char *container);
/* include_* and exclude_*: globs over one name.  An empty include takes everything, exclude wins. */
bool match_name(const struct bind_list *include, const struct bind_list *exclude, const char *name);

#endif
