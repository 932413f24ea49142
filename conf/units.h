/* Sizes, durations and other numbers as operators write them.  Pure.
 *
 * Reading (bind_parse_size and bind_parse_duration stand in conf/bind.h) and writing agree: what is written
 * here is read back as the same number. */
#ifndef DRAVE_CONF_UNITS_H
#define DRAVE_CONF_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

/* Each returns false and a complaint (static text that follows the quoted value) if text is none. */
bool units_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_complaint);
bool units_parse_duration(const char *text, uint64_t *ret_ms, const char **ret_complaint);
bool units_parse_count(const char *text, uint64_t *ret_count, const char **ret_complaint);
bool units_parse_bool(const char *text, bool *ret_value, const char **ret_complaint);
/* "1s..60s", in milliseconds. */
bool units_parse_duration_range(
    const char *text, uint64_t *ret_min, uint64_t *ret_max, const char **ret_complaint);

/* "1MiB", "900KiB", "5MB", "1000": the largest unit without a rest. */
void units_add_size(struct buf *out, uint64_t bytes);
/* "1m30s", "5ms", "0". */
void units_add_duration(struct buf *out, uint64_t ms);

#endif
