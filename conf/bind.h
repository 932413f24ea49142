/* Option rows -> struct fields.  Each module lists its own options as rows; this machine fills its struct from a section, finds every
 * error, and prints the same rows as sample configuration, man page table and --print-config.
 *
 *   static const struct bind_row rows[] = {
 *       { .key = "brokers", .kind = BIND_TEXT, .offset = offsetof(struct kafka_options, brokers), .required = true,
 *         .help = "Bootstrap servers, host:port, several by comma." },
 *       { .key = "linger", .kind = BIND_DURATION, .offset = ..., .fallback = "5ms", .min = 0, .max = 60000, .help = "..." },
 *       { .key = NULL } };
 *
 * Bound structs are immutable; bind_release frees what the rows own (texts and lists). */
#ifndef DRAVE_CONF_BIND_H
#define DRAVE_CONF_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "conf/ini.h"
#include "conf/row.h"

/* Fills the struct at `into` from the section (NULL: all defaults): unknown keys with the nearest known one, bad values, bounds, missing ones become
 * complaints.  Several row tables may share one section: pass them all (NULL-terminated list of tables and structs). */
struct bind_target {
	const struct bind_row *rows;
	void *into;
};
void bind_section(const struct ini_section *section, const char *section_name, const struct bind_target *targets, size_t target_count,
	struct ini_complaints *complaints);
void bind_release(const struct bind_row *rows, void *from);

/* Do two bound structs say the same in every row?  (Reload: an output is unchanged if its rows are equal.) */
bool bind_equal(const struct bind_row *rows, const void *a, const void *b);

/* Calls visit for every text of the struct (items of lists one by one) that is no secret. */
void bind_each_text(const struct bind_row *rows, const void *from, void (*visit)(void *arg, const char *text), void *arg);

/* "key = value" lines of the effective configuration, secrets masked. */
void bind_print(const struct bind_row *rows, const void *from, struct buf *out);
/* The commented-out sample of these rows, for collector.ini. */
void bind_print_sample(const struct bind_row *rows, struct buf *out);
/* The option table of these rows in mdoc, for the man page. */
void bind_print_man(const struct bind_row *rows, struct buf *out);

/* The place (file and line) of a key of a section, for complaints that need two keys to see; the section's own if it is absent. */
struct ini_place bind_place(const struct ini_section *section, const char *key);

/* Nearest of the names to word by edit distance (at most 3 and less than half its length), or NULL. */
const char *bind_nearest(const char *word, const char *const *names, size_t name_count);

#endif
