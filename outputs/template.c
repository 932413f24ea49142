/* Templates.  Compiled into parts, expanded by appending them.  Pure.
 *
 * Stands beside the outputs: topics, keys, headers and URLs.  Owns its parts.  Refuses to invent a value:
 * what is not known makes the expansion fail as a whole, and the caller has a fallback. */
#include "config.h"
#include "outputs/template.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/must.h"

#define DATE_FORMAT_MAX 32
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
	char *text; /* literal text, label's name, or date format */
	struct part *next;
};

struct template
{
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
};

/* Text up to the next brace, or a doubled brace as one. */
static const char *read_literal(const char **at, struct token *ret_token)
{
	size_t len = strcspn(*at, "{}");

	if (len != 0) {
		*ret_token = (struct token){PART_TEXT, *at, len};
		*at += len;
		return NULL;
	}
	if ((*at)[0] != (*at)[1])
		return "'}' without '{' (a literal one is '}}')";
	*ret_token = (struct token){PART_TEXT, *at, 1};
	*at += 2;
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
	ret_token->kind = kind_of(name, name_len, colon != NULL);
	ret_token->text = colon != NULL ? colon + 1 : close;
	ret_token->len = (size_t)(close - ret_token->text);
	*at = close + 1;
	if (ret_token->kind == PART_WRONG)
		return "unknown placeholder; known: {namespace} {pod} {container} {node} {uid} {stream} "
		       "{label:NAME} "
		       "{annotation:NAME} {date:FORMAT}";
	if ((ret_token->kind == PART_LABEL || ret_token->kind == PART_ANNOTATION) && ret_token->len == 0)
		return "{label:NAME} and {annotation:NAME} need a name";
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

struct template *template_new(const char *text)
{
	struct template *template = x_new(template);
	struct part **end = &template->parts;

	while (*text != '\0') {
		struct part *part = x_new(part);
		struct token token;

		must(read_part(&text, &token) == NULL);
		part->kind = token.kind;
		part->text = xstrndup(token.text, token.len);
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

static bool expand_part(const struct part *part, const struct origin *origin, enum record_stream stream,
    int64_t time_ns, struct buf *out)
{
	switch (part->kind) {
	case PART_TEXT: return buf_add_text(out, part->text);
	case PART_NAMESPACE: return buf_add_text(out, origin->namespace_name);
	case PART_POD: return buf_add_text(out, origin->pod);
	case PART_CONTAINER: return buf_add_text(out, origin->container);
	case PART_NODE: return buf_add_text(out, origin->node);
	case PART_UID: return buf_add_text(out, origin->uid);
	case PART_STREAM: return buf_add_text(out, record_stream_name(stream));
	case PART_DATE: return expand_date(part->text, time_ns, out);
	case PART_LABEL: /* nobody knows labels while metadata comes from the path */
	case PART_ANNOTATION:
	case PART_WRONG: break;
	}
	return false;
}

bool template_expand(const struct template *template, const struct origin *origin, enum record_stream stream,
    int64_t time_ns, struct buf *out)
{
	size_t before = out->len;

	for (const struct part *part = template->parts; part != NULL; part = part->next) {
		if (!expand_part(part, origin, stream, time_ns, out)) {
			out->len = before;
			return false;
		}
	}
	return true;
}
