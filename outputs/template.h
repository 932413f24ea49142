/* Texts with placeholders: logs.{namespace}, {namespace}/{pod}/{container}.
 *
 *   {namespace} {pod} {container} {node} {uid} {stream} {label:NAME} {annotation:NAME} {date:STRFTIME}
 *   {{ and }} are literal braces; a date's finest part is the minute
 *
 * Compiled once, expanded per record or per file. */
#ifndef DRAVE_OUTPUTS_TEMPLATE_H
#define DRAVE_OUTPUTS_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "outputs/record.h"

struct template;

/* NULL = fine, else what is wrong with it (static text), for option rows. */
const char *template_check(const char *text);
/* text has passed template_check (must).  The caller frees with template_free. */
struct template *template_new(const char *text);
void template_free(struct template *template);

/* Does it depend on the record's stream, or on its time?  If on neither, one expansion serves a whole file.
 */
bool template_needs_stream(const struct template *template);
bool template_needs_time(const struct template *template);
/* Has it placeholders that only metadata beyond the path can fill (labels, annotations)? */
bool template_needs_metadata(const struct template *template);
/* Is it plain text without any placeholder? */
bool template_is_constant(const struct template *template);

/* Appends the expansion to out.  {date:...} is in UTC from time_ns.  False if something is not known (a label
 * without metadata) or out is full: nothing is appended then. */
bool template_expand(const struct template *template, const struct origin *origin, enum record_stream stream,
    int64_t time_ns, struct buf *out);

#endif
