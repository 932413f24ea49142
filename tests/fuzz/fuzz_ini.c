/* Configuration files: any bytes are read, bound to rows of every kind, and printed.
 *
 * Beyond not crashing: whatever was not complained about stands on the line that its place names. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "conf/bind.h"

struct options {
	char *text;
	struct bind_list list;
	bool flag;
	uint64_t count, size, duration;
	struct bind_range range;
	int word;
	struct bind_list headers;
};

static const char *const words[] = {"kafka", "http", "loki", NULL};

static const struct bind_row rows[] = {
    {.key = "text", .kind = BIND_TEXT, .offset = offsetof(struct options, text), .help = "Text."},
    {.key = "list", .kind = BIND_LIST, .offset = offsetof(struct options, list), .help = "List."},
    {.key = "flag", .kind = BIND_BOOL, .offset = offsetof(struct options, flag), .help = "Flag."},
    {.key = "count",
	.kind = BIND_COUNT,
	.offset = offsetof(struct options, count),
	.max = 9,
	.help = "Count."},
    {.key = "size", .kind = BIND_SIZE, .offset = offsetof(struct options, size), .help = "Size."},
    {.key = "duration",
	.kind = BIND_DURATION,
	.offset = offsetof(struct options, duration),
	.help = "Duration."},
    {.key = "range",
	.kind = BIND_DURATION_RANGE,
	.offset = offsetof(struct options, range),
	.help = "Range.",
	.required = true},
    {.key = "word",
	.kind = BIND_WORD,
	.offset = offsetof(struct options, word),
	.words = words,
	.later = "loki",
	.help = "Word."},
    {.key = "header.", .kind = BIND_PREFIX, .offset = offsetof(struct options, headers), .help = "Headers."},
    {.key = NULL},
};

static char *environment(const char *name)
{
	static char value[] = "from ; outside \\";

	return name[0] == 'A' ? value : NULL;
}

/* The line with this number, without its newline. */
static const char *line_of(const uint8_t *bytes, size_t len, unsigned number, size_t *ret_len)
{
	const char *line = (const char *)bytes, *end = line + len, *newline;

	for (; number > 1; number--) {
		line = memchr(line, '\n', (size_t)(end - line));
		must(line != NULL);
		line++;
	}
	newline = memchr(line, '\n', (size_t)(end - line));
	*ret_len = (size_t)((newline != NULL ? newline : end) - line);
	return line;
}

static void check_setting(const struct ini_setting *setting, const uint8_t *bytes, size_t len)
{
	size_t line_len;
	const char *line = line_of(bytes, len, setting->place.line, &line_len);

	if (memchr(line, '\\', line_len) != NULL)
		return; /* joined, which may be in the middle of the key */
	must(memmem(line, line_len, setting->key, strlen(setting->key)) != NULL);
	if (setting->value != NULL && memchr(line, '$', line_len) == NULL) /* else filled in */
		must(memmem(line, line_len, setting->value, strlen(setting->value)) != NULL);
}

static void bind_and_print(const struct ini_section *section, struct ini_complaints *complaints)
{
	struct options options = {0};
	struct bind_target target = {rows, &options};
	struct buf out;

	bind_section(section, section != NULL ? section->name : "none", &target, 1, complaints);
	buf_init(&out, 4 << 20);
	bind_print(rows, &options, &out);
	must(!out.overflowed);
	must(bind_equal(rows, &options, &options));
	buf_release(&out);
	bind_release(rows, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct ini ini = {0};
	struct ini_complaints complaints;
	char *text = xcalloc(1, len + 1); /* all of it: a NUL in the middle ends ini_override()'s text, not the file's */

	if (len > 0)
		memcpy(text, bytes, len);
	ini_complaints_init(&complaints);
	ini_read_text(&ini, "fuzz.ini", text, len, environment, &complaints);
	for (const struct ini_section *section = ini.sections; section != NULL; section = section->next) {
		for (const struct ini_setting *setting = section->settings; setting != NULL;
		     setting = setting->next)
			check_setting(setting, bytes, len);
		bind_and_print(section, &complaints);
	}
	ini_override(&ini, text, &complaints);
	must((complaints.error_count + complaints.warning_count == 0) == (complaints.text.len == 0));
	ini_release(&ini);
	ini_complaints_release(&complaints);
	free(text);
	return 0;
}
