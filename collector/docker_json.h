/* One line of docker's json-file log: {"log":"...","stream":"stdout","time":"..."} in any order, with further
 * members ignored.  Pure. A log text that does not end in \n is a piece of a record (docker cuts at 16 KiB).
 */
#ifndef DRAVE_COLLECTOR_DOCKER_JSON_H
#define DRAVE_COLLECTOR_DOCKER_JSON_H

#include "collector/cri.h"
#include "common/buf.h"

/* The text is unescaped into scratch (cleared first; its limit has to reach as far as the line is long), the
 * piece's text is a view of that, its time a view of the line.  Lone surrogates such as \ud800 become U+FFFD.
 * False: no docker line (no strict JSON object, a member missing, a bad time or stream, nesting beyond 64),
 * *ret_piece is then as it was. */
bool docker_json_parse(struct timestamp_cache *cache, const char *line, size_t len, struct buf *scratch,
    struct piece *ret_piece);

#endif
