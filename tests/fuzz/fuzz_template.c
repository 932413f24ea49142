/* Templates: any text is checked, and what passes is expanded.
 *
 * What says that it does not depend on stream or time does not, a full buf is left as it was, and the values of
 * a pod bring nothing into a URL or a header that could end it. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "outputs/template.h"

#define ROOM (1 << 20)

static const struct label labels[] = {{"app", "we/b..\r\n\xff", false}, {"tier", "..", false}};
static const struct metadata metadata = {.labels = {labels, 2}, .annotations = {labels, 2}};
static const struct origin without = {
    .namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b", .container = "app", .node = "node-1"};
static const struct origin with = {.namespace_name = "team-a",
    .pod = "api-0",
    .uid = "0f8fad5b",
    .container = "app",
    .node = "node-1",
    .metadata = &metadata};

/* What is expanded: a template, for a pod, at a place. */
struct trial {
	const struct template *template;
	const struct origin *origin;
};

static bool expand(const struct trial *trial, enum record_stream stream, int64_t time_ns, struct buf *out)
{
	buf_init(out, ROOM);
	if (template_expand(trial->template, trial->origin, stream, time_ns, out))
		return true;
	must(out->len == 0);
	return false;
}

static bool same(const struct trial *trial, enum record_stream stream, int64_t time_ns)
{
	struct buf a, b;
	bool is_same = expand(trial, RECORD_STDOUT, 0, &a) == expand(trial, stream, time_ns, &b);

	is_same = is_same && a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
	buf_release(&a);
	buf_release(&b);
	return is_same;
}

/* In a URL and in a header, no byte comes in that was not in the text already. */
static void check_bytes(const char *text, enum template_place place, const struct buf *out)
{
	for (size_t i = 0; i < out->len && place != TEMPLATE_PLAIN; i++) {
		unsigned char byte = (unsigned char)out->data[i];

		must((byte > 0x20 && byte < 0x7f) || byte == ' ' || strchr(text, byte) != NULL);
		must(place != TEMPLATE_URL || byte != ' ' || strchr(text, ' ') != NULL);
	}
}

static void count_name(void *arg, bool is_annotation, const char *name)
{
	unsigned *count = arg;

	(void)is_annotation;
	must(name[0] != '\0');
	++*count;
}

static void check_expansion(const char *text, enum template_place place, const struct trial *trial)
{
	const struct template *template = trial->template;
	struct buf out;
	bool is_known = expand(trial, RECORD_STDERR, INT64_MAX, &out);

	must(is_known || template_can_fail(template));
	must(out.len <= template_longest(template));
	check_bytes(text, place, &out);
	if (!template_needs_stream(template))
		must(same(trial, RECORD_UNKNOWN, 0));
	if (!template_needs_time(template))
		must(same(trial, RECORD_STDOUT, INT64_MIN));
	must(same(trial, RECORD_STDOUT, INT64_C(59999999999))); /* nothing is finer than a minute */
	if (template_is_constant(template))
		must(is_known && out.len <= strlen(text));
	if (is_known && out.len > 1) {
		struct buf small;

		buf_init(&small, out.len - 1);
		must(!template_expand(template, trial->origin, RECORD_STDERR, INT64_MAX, &small));
		must(small.len == 0);
		buf_release(&small);
	}
	buf_release(&out);
}

static void check(const char *text)
{
	static const enum template_place places[] = {TEMPLATE_PLAIN, TEMPLATE_URL, TEMPLATE_HEADER};

	for (size_t i = 0; i < 3; i++) {
		struct template *template = template_new(text, places[i]);
		struct trial trial = {template, &without};
		unsigned count = 0;
		struct buf out;

		check_expansion(text, places[i], &trial);
		must(expand(&trial, RECORD_STDOUT, 0, &out) == !template_can_fail(template));
		buf_release(&out);
		trial.origin = &with;
		check_expansion(text, places[i], &trial);
		template_each_name(template, count_name, &count);
		must(template_needs_metadata(template) == (count != 0));
		template_free(template);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = xstrndup((const char *)bytes, len);

	if (template_check(text) == NULL)
		check(text);
	free(text);
	return 0;
}
