/* Templates: any text is checked, and what passes is expanded.
 *
 * What says that it does not depend on stream or time does not, and a full buf is left as it was. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "outputs/template.h"

#define ROOM (1 << 20)

static const struct origin origin = {.namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b", .container = "app", .node = "node-1"};

static bool expand(
    const struct template *template, enum record_stream stream, int64_t time_ns, struct buf *out)
{
	buf_init(out, ROOM);
	if (template_expand(template, &origin, stream, time_ns, out))
		return true;
	must(out->len == 0);
	return false;
}

static bool same(const struct template *template, enum record_stream stream, int64_t time_ns)
{
	struct buf a, b;
	bool is_same = expand(template, RECORD_STDOUT, 0, &a) == expand(template, stream, time_ns, &b);

	is_same = is_same && a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
	buf_release(&a);
	buf_release(&b);
	return is_same;
}

static void check(const char *text)
{
	struct template *template = template_new(text);
	struct buf out;
	bool is_known = expand(template, RECORD_STDERR, INT64_MAX, &out);

	must(template_needs_metadata(template) == !is_known);
	if (!template_needs_stream(template))
		must(same(template, RECORD_UNKNOWN, 0));
	if (!template_needs_time(template))
		must(same(template, RECORD_STDOUT, INT64_MIN));
	must(same(template, RECORD_STDOUT, INT64_C(59999999999))); /* nothing is finer than a minute */
	if (template_is_constant(template))
		must(is_known && out.len <= strlen(text));
	if (is_known && out.len > 1) {
		struct buf small;

		buf_init(&small, out.len - 1);
		must(!template_expand(template, &origin, RECORD_STDERR, INT64_MAX, &small));
		must(small.len == 0);
		buf_release(&small);
	}
	buf_release(&out);
	template_free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = xstrndup((const char *)bytes, len);

	if (template_check(text) == NULL)
		check(text);
	free(text);
	return 0;
}
