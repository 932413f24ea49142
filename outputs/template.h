/* Texts with placeholders: logs.{namespace}, {namespace}/{pod}/{container}.
 *
 *   {namespace} {pod} {container} {node} {uid} {stream} {date:STRFTIME}
 *   {label:NAME} {annotation:NAME} {label:NAME:-TEXT} {annotation:NAME:-TEXT}
 *   {{ and }} are literal braces; a date's finest part is the minute
 *
 * A label or annotation that the pod does not have, or whose value is empty or longer than
 * TEMPLATE_VALUE_BYTES, is not known: TEXT stands for it (as in ${VAR:-default}), and without one the template
 * cannot be filled.
 *
 * Compiled once, expanded per record or per file. */
#ifndef DRAVE_OUTPUTS_TEMPLATE_H
#define DRAVE_OUTPUTS_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "outputs/record.h"

#define TEMPLATE_VALUE_BYTES 253 /* labels have 63 at most; names of pods and nodes so many */

struct template;

/* Where the expansion will stand, and so what a value may not do there.  The template's own text is the
 * operator's, and goes out as it is. */
enum template_place {
	TEMPLATE_PLAIN,  /* nothing can go wrong with it, or its user looks after that (Kafka's topics) */
	TEMPLATE_URL,    /* values are percent-encoded; one of nothing but dots has "_" for them */
	TEMPLATE_HEADER, /* of HTTP: what is no visible ASCII in a value, nor a blank, is "_" */
};

/* NULL = fine, else what is wrong with it (static text), for option rows. */
const char *template_check(const char *text);
/* text has passed template_check (must).  The caller frees with template_free. */
struct template *template_new(const char *text, enum template_place place);
void template_free(struct template *template);

/* Does it depend on the record's stream, or on its time?  If on neither, one expansion serves a whole file
 * as long as its metadata are the same.
 */
bool template_needs_stream(const struct template *template);
bool template_needs_time(const struct template *template);
/* Has it placeholders that only metadata beyond the path can fill (labels, annotations)? */
bool template_needs_metadata(const struct template *template);
/* Is one of them without a TEXT of its own, so that the whole may be not known? */
bool template_can_fail(const struct template *template);
/* Is it plain text without any placeholder? */
bool template_is_constant(const struct template *template);
/* The most bytes of an expansion, where names are not longer than Kubernetes has them. */
size_t template_longest(const struct template *template);
/* Calls visit for each label and annotation that is named: whoever prunes pods has to keep them. */
void template_each_name(
    const struct template *template, void (*visit)(void *arg, bool is_annotation, const char *name), void *arg);

/* Appends the expansion to out.  {date:...} is in UTC from time_ns.  False if something is not known (a label
 * without metadata) or out is full: nothing is appended then. */
bool template_expand(const struct template *template, const struct origin *origin, enum record_stream stream,
    int64_t time_ns, struct buf *out);

#endif
