/* Templates.  Compiled into parts, expanded by appending them.  Pure.
 *
 * Stands beside the outputs: topics, keys, headers and URLs.  Owns its parts.  Refuses to invent a value:
 * what is not known makes the expansion fail as a whole, and the caller has a fallback.  Refuses to let a
 * value end a header or climb in a URL: whoever may create a pod writes its labels and annotations. */
#include "config.h"
#include "outputs/template.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"

#define DATE_FORMAT_MAX 32
#define LABEL_NAME_MAX  317 /* prefix, slash and name */
#define NAME_BYTES      63  /* of a namespace, a container, a uid */
#define DATE_BYTES                                                                                           \
	256 /* what the longest format can become: sixteen names of ten bytes, as %A or %F make them */

enum part_kind {
	PART_TEXT,
	PART_NAMESPACE,
	PART_POD,
	PART_CONTAINER,
	PART_NODE,
	PART_UID,
	PART_STREAM,
	PART_LABEL,
	PART_ANNOTATION,
	PART_DATE,
	PART_WRONG,
};

struct part {
	enum part_kind kind;
	char *text;     /* literal text, label's name, or date format */
	char *fallback; /* of a label or annotation; NULL = none */
	struct part *next;
};

struct template
{
	enum template_place place;
	struct part *parts;
};

static const struct {
	const char *name;
	enum part_kind kind;
	bool has_argument;
} placeholders[] = {
    {"namespace", PART_NAMESPACE, false},
    {"pod", PART_POD, false},
    {"container", PART_CONTAINER, false},
    {"node", PART_NODE, false},
    {"uid", PART_UID, false},
    {"stream", PART_STREAM, false},
    {"label", PART_LABEL, true},
    {"annotation", PART_ANNOTATION, true},
    {"date", PART_DATE, true},
};

/* ---- reading --------------------------------------------------------------------------------- */

/* name is what stands between the braces, up to a colon if there is one. */
static enum part_kind kind_of(const char *name, size_t len, bool has_argument)
{
	for (size_t i = 0; i < sizeof placeholders / sizeof placeholders[0]; i++)
		if (strlen(placeholders[i].name) == len && memcmp(placeholders[i].name, name, len) == 0)
			return placeholders[i].has_argument == has_argument ? placeholders[i].kind
									    : PART_WRONG;
	return PART_WRONG;
}

/* A batch's destination is looked up once a minute of log time, so nothing finer may stand in it. */
static bool is_date_format(const char *format, size_t len)
{
	if (len == 0 || len > DATE_FORMAT_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)format[i] < 0x20)
			return false;
		if (format[i] == '%' && (++i == len || strchr("YmdHMjyGgVuwaAbB%F", format[i]) == NULL))
			return false;
	}
	return true;
}

/* A part as it stands in the text. */
struct token {
	enum part_kind kind;
	const char *text; /* of a literal, or the argument */
	size_t len;
	const char *fallback; /* behind the argument's ":-"; NULL = none */
	size_t fallback_len;
};

/* Text up to the next brace, or a doubled brace as one. */
static const char *read_literal(const char **at, struct token *ret_token)
{
	size_t len = strcspn(*at, "{}");

	if (len != 0) {
		*ret_token = (struct token){.kind = PART_TEXT, .text = *at, .len = len};
		*at += len;
		return NULL;
	}
	if ((*at)[0] != (*at)[1])
		return "'}' without '{' (a literal one is '}}')";
	*ret_token = (struct token){.kind = PART_TEXT, .text = *at, .len = 1};
	*at += 2;
	return NULL;
}

/* NAME or NAME:-TEXT. */
static const char *read_label(struct token *token)
{
	const char *fallback = memmem(token->text, token->len, ":-", 2);
	size_t len = fallback != NULL ? (size_t)(fallback - token->text) : token->len;

	if (fallback != NULL) {
		token->fallback = fallback + 2;
		token->fallback_len = token->len - len - 2;
	}
	token->len = len;
	if (len == 0 || len > LABEL_NAME_MAX)
		return "{label:NAME} and {annotation:NAME} need a name, of 317 bytes at most";
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)token->text[i]) && strchr("-_./", token->text[i]) == NULL)
			return "no label or annotation has such a name: it is made of A-Z a-z 0-9 - _ . / (and "
			       ":-TEXT behind it stands for what a pod does not have)";
	return NULL;
}

static const char *read_placeholder(const char **at, struct token *ret_token)
{
	const char *name = *at + 1, *close = strchr(name, '}'), *colon;
	size_t name_len;

	if (close == NULL)
		return "'{' without '}' (a literal one is '{{')";
	colon = memchr(name, ':', (size_t)(close - name));
	name_len = (size_t)((colon != NULL ? colon : close) - name);
	*ret_token = (struct token){
	    .kind = kind_of(name, name_len, colon != NULL), .text = colon != NULL ? colon + 1 : close};
	ret_token->len = (size_t)(close - ret_token->text);
	*at = close + 1;
	if (ret_token->kind == PART_WRONG)
		return "unknown placeholder; known: {namespace} {pod} {container} {node} {uid} {stream} "
		       "{label:NAME} "
		       "{annotation:NAME} {date:FORMAT}";
	if (ret_token->kind == PART_LABEL || ret_token->kind == PART_ANNOTATION)
		return read_label(ret_token);
	if (ret_token->kind == PART_DATE && !is_date_format(ret_token->text, ret_token->len))
		return "{date:FORMAT} takes %Y %m %d %H %M %j %y %G %g %V %u %w %a %A %b %B %F and text, 32 "
		       "bytes at most";
	return NULL;
}

/* Reads the part at *at and moves on.  Returns NULL, or what is wrong. */
static const char *read_part(const char **at, struct token *ret_token)
{
	bool is_placeholder = (*at)[0] == '{' && (*at)[1] != '{';

	return is_placeholder ? read_placeholder(at, ret_token) : read_literal(at, ret_token);
}

const char *template_check(const char *text)
{
	const char *complaint = NULL;
	struct token token;

	while (*text != '\0' && complaint == NULL)
		complaint = read_part(&text, &token);
	return complaint;
}

struct template *template_new(const char *text, enum template_place place)
{
	struct template *template = x_new(template);
	struct part **end = &template->parts;

	template->place = place;
	while (*text != '\0') {
		struct part *part = x_new(part);
		struct token token;

		must(read_part(&text, &token) == NULL);
		part->kind = token.kind;
		part->text = xstrndup(token.text, token.len);
		if (token.fallback != NULL)
			part->fallback = xstrndup(token.fallback, token.fallback_len);
		*end = part;
		end = &part->next;
	}
	return template;
}

void template_free(struct template *template)
{
	if (template == NULL)
		return;
	while (template->parts != NULL) {
		struct part *part = template->parts;

		template->parts = part->next;
		free(part->fallback);
		free(part->text);
		free(part);
	}
	free(template);
}

static bool has_kind(const struct template *template, enum part_kind kind)
{
	const struct part *part = template->parts;

	while (part != NULL && part->kind != kind)
		part = part->next;
	return part != NULL;
}

bool template_needs_stream(const struct template *template)
{
	return has_kind(template, PART_STREAM);
}

bool template_needs_time(const struct template *template)
{
	return has_kind(template, PART_DATE);
}

bool template_needs_metadata(const struct template *template)
{
	return has_kind(template, PART_LABEL) || has_kind(template, PART_ANNOTATION);
}

static bool is_from_metadata(const struct part *part)
{
	return part->kind == PART_LABEL || part->kind == PART_ANNOTATION;
}

bool template_can_fail(const struct template *template)
{
	const struct part *part = template->parts;

	while (part != NULL && (!is_from_metadata(part) || part->fallback != NULL))
		part = part->next;
	return part != NULL;
}

void template_each_name(
    const struct template *template, void (*visit)(void *arg, bool is_annotation, const char *name), void *arg)
{
	for (const struct part *part = template->parts; part != NULL; part = part->next)
		if (is_from_metadata(part))
			visit(arg, part->kind == PART_ANNOTATION, part->text);
}

static size_t longest_part(const struct template *template, const struct part *part)
{
	size_t factor = template->place == TEMPLATE_URL ? 3 : 1, fallback_len;

	switch (part->kind) {
	case PART_TEXT: return strlen(part->text);
	case PART_NAMESPACE:
	case PART_CONTAINER:
	case PART_UID: return factor * NAME_BYTES;
	case PART_POD:
	case PART_NODE: return factor * TEMPLATE_VALUE_BYTES;
	case PART_STREAM: return strlen("unknown");
	case PART_DATE: return DATE_BYTES;
	case PART_LABEL:
	case PART_ANNOTATION:
		fallback_len = part->fallback != NULL ? strlen(part->fallback) : 0;
		factor *= TEMPLATE_VALUE_BYTES;
		return fallback_len > factor ? fallback_len : factor;
	case PART_WRONG: break;
	}
	return 0;
}

size_t template_longest(const struct template *template)
{
	size_t longest = 0;

	for (const struct part *part = template->parts; part != NULL; part = part->next)
		longest += longest_part(template, part);
	return longest;
}

bool template_is_constant(const struct template *template)
{
	const struct part *part = template->parts;

	while (part != NULL && part->kind == PART_TEXT)
		part = part->next;
	return part == NULL;
}

/* ---- expanding ------------------------------------------------------------------------------- */

/* format has passed is_date_format, which the compiler cannot know. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bool expand_date(const char *format, int64_t time_ns, struct buf *out)
{
	time_t seconds = (time_t)(time_ns / 1000000000 - (time_ns % 1000000000 < 0));
	char text[DATE_BYTES];
	struct tm tm;
	size_t len;

	if (gmtime_r(&seconds, &tm) == NULL)
		return false;
	len = strftime(text, sizeof text, format, &tm);
	must(len != 0);
	return buf_add(out, text, len);
}
#pragma GCC diagnostic pop

static bool is_unreserved(char byte)
{
	return isalnum((unsigned char)byte) || strchr("-._~", byte) != NULL;
}

/* A segment of dots would lead up, also if they were encoded. */
static bool add_encoded(struct buf *out, const char *value)
{
	bool is_dots = strspn(value, ".") == strlen(value), fits = true;

	for (; fits && *value != '\0'; value++) {
		if (is_dots)
			fits = buf_add(out, "_", 1);
		else if (is_unreserved(*value))
			fits = buf_add(out, value, 1);
		else
			fits = buf_printf(out, "%%%02X", (unsigned char)*value);
	}
	return fits;
}

static bool add_visible(struct buf *out, const char *value)
{
	bool fits = true;

	for (; fits && *value != '\0'; value++)
		fits = buf_add(out, *value >= 0x20 && *value < 0x7f ? value : "_", 1);
	return fits;
}

static bool add_value(const struct template *template, const char *value, struct buf *out)
{
	switch (template->place) {
	case TEMPLATE_PLAIN: return buf_add_text(out, value);
	case TEMPLATE_URL: return add_encoded(out, value);
	case TEMPLATE_HEADER: return add_visible(out, value);
	}
	return false;
}

static int compare_name(const void *name, const void *label)
{
	return strcmp(name, ((const struct label *)label)->name);
}

static bool expand_label(const struct template *template, const struct part *part, const struct metadata *metadata,
    struct buf *out)
{
	const struct labels *labels;
	const struct label *label = NULL;

	if (metadata != NULL) {
		labels = part->kind == PART_LABEL ? &metadata->labels : &metadata->annotations;
		if (labels->count != 0)
			label = bsearch(
			    part->text, labels->items, labels->count, sizeof labels->items[0], compare_name);
	}
	if (label != NULL && label->value[0] != '\0' && strlen(label->value) <= TEMPLATE_VALUE_BYTES)
		return add_value(template, label->value, out);
	return part->fallback != NULL && buf_add_text(out, part->fallback);
}

static bool expand_part(const struct template *template, const struct part *part, const struct origin *origin,
    enum record_stream stream, int64_t time_ns, struct buf *out)
{
	switch (part->kind) {
	case PART_TEXT: return buf_add_text(out, part->text);
	case PART_NAMESPACE: return add_value(template, origin->namespace_name, out);
	case PART_POD: return add_value(template, origin->pod, out);
	case PART_CONTAINER: return add_value(template, origin->container, out);
	case PART_NODE: return add_value(template, origin->node, out);
	case PART_UID: return add_value(template, origin->uid, out);
	case PART_STREAM: return buf_add_text(out, record_stream_name(stream));
	case PART_DATE: return expand_date(part->text, time_ns, out);
	case PART_LABEL:
	case PART_ANNOTATION: return expand_label(template, part, origin->metadata, out);
	case PART_WRONG: break;
	}
	return false;
}

bool template_expand(const struct template *template, const struct origin *origin, enum record_stream stream,
    int64_t time_ns, struct buf *out)
{
	size_t before = out->len;

	for (const struct part *part = template->parts; part != NULL; part = part->next) {
		if (!expand_part(template, part, origin, stream, time_ns, out)) {
			out->len = before;
			return false;
		}
	}
	return true;
}
