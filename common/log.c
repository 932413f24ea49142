/* Our own log: one line an event on stderr, for people (logfmt) or for machines (JSON).
 *
 *   time=2026-01-31T12:34:56.123Z level=warn module=finder msg="cannot list" path="/var/log pods" code=-13
 *   {"time":"2026-01-31T12:34:56.123Z","level":"warn","module":"finder","msg":"cannot list",
 *    "path":"/var/log pods","code":"-13"}                                         (on one line)
 *
 * All values are strings in JSON, so that a reader's types never depend on what a value happens to look like.
 * A line is one write(2).  Level and format are the only globals of the programs; lines come from the loop
 * thread only.  What cannot be written is dropped: there is nobody left to tell. */
#include "config.h"
#include "common/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/must.h"

#define FIELDS_BYTES     4096
#define LINE_BYTES       (8 * FIELDS_BYTES) /* every field byte escaped at its worst, and the head */
#define QUOTE_BYTES      400
#define QUOTES           8
#define SITE_WINDOW_MS   10000
#define SITE_WINDOW_MAX  5
#define ESCAPED_MAX      4  /* "\x1b" */
#define MILLISECOND_TEXT 23 /* of "2026-01-31T12:34:56.123456789Z" */

static enum log_level current_level = LOG_INFO;
static enum log_format current_format = LOG_TEXT;

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void log_setup(enum log_level level, enum log_format format)
{
	current_level = level;
	current_format = format;
}

enum log_level log_current_level(void)
{
	return current_level;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Writes one byte as it may stand in a line; returns how many bytes that took (at most ESCAPED_MAX). */
static size_t escape_byte(char *out, char c, bool in_quotes)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[] = "\n\r\t", names[] = "nrt";
	const char *name = c == '\0' ? NULL : strchr(named, c);

	if (!is_control(c) && !(in_quotes && (c == '"' || c == '\\'))) {
		out[0] = c;
		return 1;
	}
	out[0] = '\\';
	out[1] = name != NULL ? names[name - named] : c;
	if (name != NULL || !is_control(c))
		return 2;
	out[1] = 'x';
	out[2] = hex[(unsigned char)c >> 4];
	out[3] = hex[(unsigned char)c & 15];
	return 4;
}

const char *log_quote(const char *text)
{
	static char quotes[QUOTES][QUOTE_BYTES * ESCAPED_MAX + sizeof "\"...\""];
	static unsigned next;
	char *quote = quotes[next++ % QUOTES];
	size_t len = strnlen(text, QUOTE_BYTES + 1), out = 0;
	bool is_cut = len > QUOTE_BYTES;

	for (len -= is_cut; is_cut && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--; /* never inside a UTF-8 character */
	quote[out++] = '"';
	for (size_t i = 0; i < len; i++)
		out += escape_byte(quote + out, text[i], true);
	memcpy(quote + out, is_cut ? "...\"" : "\"", is_cut ? sizeof "...\"" : sizeof "\"");
	return quote;
}

/* ---- the two forms of a line ---------------------------------------------------------------- */

static void add_text_line(struct buf *line, const char *time, enum log_level level, const char *module,
    const char *text, const char *fields)
{
	char escaped[ESCAPED_MAX];

	buf_printf(
	    line, "time=%s level=%s module=%s msg=%s", time, level_names[level], module, log_quote(text));
	if (*fields != '\0')
		buf_add_text(line, " ");
	for (; *fields != '\0'; fields++)
		buf_add(line, escaped, escape_byte(escaped, *fields, false));
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* Undoes escape_byte: the byte at *text, which moves on. */
static char unescape_byte(const char **text)
{
	const char *at = *text;
	int high, low;

	if (at[0] != '\\' || at[1] == '\0') {
		*text = at + 1;
		return at[0];
	}
	*text = at + 2;
	switch (at[1]) {
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'x': break;
	default: return at[1];
	}
	high = hex_digit(at[2]);
	low = high < 0 ? -1 : hex_digit(at[3]);
	if (low < 0)
		return 'x';
	*text = at + 4;
	return (char)(high << 4 | low);
}

/* Takes one value, quoted or not, off the fields and appends it as a JSON string. */
static const char *add_json_value(struct buf *line, const char *fields)
{
	char value[FIELDS_BYTES];
	size_t len = 0;

	if (*fields != '"') {
		len = strcspn(fields, " ");
		buf_add_json(line, fields, len);
		return fields + len;
	}
	for (fields++; *fields != '\0' && *fields != '"';)
		value[len++] = unescape_byte(&fields);
	buf_add_json(line, value, len);
	return *fields == '"' ? fields + 1 : fields;
}

static void add_json_fields(struct buf *line, const char *fields)
{
	for (fields += strspn(fields, " "); *fields != '\0'; fields += strspn(fields, " ")) {
		size_t key_len = strcspn(fields, "= ");

		buf_add_text(line, ",");
		buf_add_json(line, fields, key_len);
		buf_add_text(line, ":");
		fields += key_len;
		if (*fields == '=')
			fields = add_json_value(line, fields + 1);
		else
			buf_add_text(line, "\"\""); /* a word without a value */
	}
}

static void add_json_line(struct buf *line, const char *time, enum log_level level, const char *module,
    const char *text, const char *fields)
{
	buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"module\":\"%s\",\"msg\":", time,
	    level_names[level], module);
	buf_add_json(line, text, strlen(text));
	add_json_fields(line, fields);
	buf_add_text(line, "}");
}

static void write_line(enum log_level level, const char *module, const char *text, const char *fields)
{
	char nanoseconds[CLOCK_TEXT_BYTES], time[MILLISECOND_TEXT + sizeof "Z"];
	struct buf line;

	buf_init(&line, LINE_BYTES);
	clock_format_ns(nanoseconds, clock_wall_ns());
	snprintf(time, sizeof time, "%.*sZ", MILLISECOND_TEXT, nanoseconds);
	if (current_format == LOG_JSON)
		add_json_line(&line, time, level, module, text, fields);
	else
		add_text_line(&line, time, level, module, text, fields);
	buf_add_text(&line, "\n");
	(void)file_write_all(STDERR_FILENO, line.data, line.len); /* nobody left to tell */
	buf_release(&line);
}

/* ---- the limit of one call site ------------------------------------------------------------- */

static void write_repeated(
    const struct log_site *site, enum log_level level, const char *module, const char *text)
{
	char *fields = xasprintf("count=%u of=%s", site->suppressed, log_quote(text));

	write_line(level, module, "repeated", fields);
	free(fields);
}

/* May this site write now?  At the first line of a new window it also tells what the last one left out. */
static bool site_may_write(struct log_site *site, enum log_level level, const char *module, const char *text)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (site->count == 0 || now_ms - site->window_ms >= SITE_WINDOW_MS) {
		if (site->suppressed > 0)
			write_repeated(site, level, module, text);
		*site = (struct log_site){.window_ms = now_ms};
	}
	site->count++;
	if (site->count <= SITE_WINDOW_MAX)
		return true;
	site->suppressed++;
	return false;
}

void log_write(struct log_site *site, enum log_level level, const char *module, const char *text,
    const char *format, ...)
{
	char fields[FIELDS_BYTES];
	va_list args;
	int len;

	if (!site_may_write(site, level, module, text))
		return;
	va_start(args, format);
	len = vsnprintf(fields, sizeof fields, format, args);
	va_end(args);
	must(len >= 0);
	if ((size_t)len >= sizeof fields)
		memcpy(fields + sizeof fields - sizeof "...", "...", sizeof "...");
	write_line(level, module, text, fields + strspn(fields, " "));
}
