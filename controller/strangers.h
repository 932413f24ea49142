/* Sets in namespaces that are not served: known by name only, so that people can be told why nothing happens
 * to them.
 *
 * Stands before the store as the receiver of the sets' reflector, and hands on what is served. */
#ifndef DRAVE_CONTROLLER_STRANGERS_H
#define DRAVE_CONTROLLER_STRANGERS_H

#include <stddef.h>

#include "common/buf.h"
#include "common/reflector.h"

struct strangers;

/* served: a namespace, or "*" for all; copied.  ops and arg (borrowed) get what belongs to it. */
struct strangers *strangers_new(const char *served, const struct reflector_ops *ops, void *arg);
void strangers_free(struct strangers *strangers);
/* For the reflector, with the strangers as its arg. */
extern const struct reflector_ops strangers_ops;
size_t strangers_count(const struct strangers *strangers);
/* A JSON array of "namespace/name", by name; at most STRANGERS_SHOWN. */
#define STRANGERS_SHOWN 100
void strangers_write(struct strangers *strangers, struct buf *out);

#endif
