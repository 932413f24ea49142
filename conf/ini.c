/* INI text -> sections and settings, each with its place.
 *
 *   logical line     one or more lines, joined where a line ends in an odd number of backslashes (which go,
 * with the newline and the leading blanks of the next); comment lines in between are left out
 *   "[" name "]"     a section; blanks around the name do not count
 *   key "=" value    (or ":" for "="), key of at most INI_KEY_BYTES printable characters
 *
 * libinih splits and trims the lines, but as Debian builds it it cuts them at 199 bytes without a word, takes
 * an indented line for a continuation, knows no line numbers and forgets sections without keys.  So our
 * reader stands before it: it joins, removes comments, keeps account of lines and sections, and hands a value
 * over in pieces, which libinih believes to be continuation lines and gives to the handler one by one.  Each
 * piece stands between two GUARDs, so that nothing in it is trimmed away.  The handler glues the pieces
 * together, fills in the variables, and follows `include`.
 *
 * Owns all strings and nodes of the struct ini, in one chain that ini_release() frees.  Knows no key but
 * `include` and does not judge values; that is conf/bind.  Everything wrong becomes a complaint; the reading
 * goes on behind it. */
#include "config.h"
#include "conf/ini.h"

#include <ctype.h>
#include <glob.h>
#include <ini.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/must.h"

#define COMPLAINTS_BYTES (1 << 20)
#define INI_KEY_BYTES    100
#define SECTIONS_MAX     1000  /* keep what follows linear enough: names are looked up one by one */
#define SETTINGS_MAX     10000 /* of one section */
#define INIH_LINE_BYTES  200   /* what every build of libinih takes, with newline and NUL */
#define GUARD            '|'

/* A file that was named so far. */
struct known_file {
	dev_t dev;
	ino_t ino;
	bool is_open; /* it is being read: an include of it closes a circle */
	struct known_file *next;
};

/* One file under way, or a text. */
struct reading {
	struct ini *ini;
	struct ini_complaints *complaints;
	char *(*environment)(const char *name);
	struct known_file **files; /* shared by all readings of one configuration; NULL for a text */
	unsigned depth;
	const char *name;       /* as it stands in places */
	const char *next, *end; /* what was not read yet; borrowed */
	unsigned line;          /* number of the line last taken */

	struct ini_section *section; /* the current one; NULL before the first */
	struct ini_section unlisted; /* takes the settings behind a header that is wrong */

	struct buf logical;     /* the logical line under way */
	struct ini_place place; /* of its first line */
	const char *key;        /* in logical; not terminated */
	size_t key_len;
	const char *rest; /* of its value, not handed to libinih yet */
	size_t rest_len;
	bool has_piece;   /* something is still to be handed over */
	bool has_begun;   /* and it is no longer the first piece */
	struct buf value; /* what the handler glued so far */
};

/* ---- memory --------------------------------------------------------------------------------- */

struct link {
	struct link *next;
	alignas(max_align_t) char bytes[];
};

/* Zeroed memory that lives as long as the ini. */
static void *keep(struct ini *ini, size_t size)
{
	struct link *link = xcalloc(1, sizeof *link + size);

	link->next = ini->memory;
	ini->memory = link;
	return link->bytes;
}

static const char *keep_text(struct ini *ini, const char *text, size_t len)
{
	char *copy = keep(ini, len + 1);

	memcpy(copy, text, len);
	return copy;
}

void ini_release(struct ini *ini)
{
	for (struct link *link = ini->memory; link != NULL;) {
		struct link *next = link->next;

		free(link);
		link = next;
	}
	*ini = (struct ini){0};
}

/* ---- complaints ----------------------------------------------------------------------------- */

void ini_complaints_init(struct ini_complaints *complaints)
{
	*complaints = (struct ini_complaints){0};
	buf_init(&complaints->text, COMPLAINTS_BYTES);
}

void ini_complaints_clear(struct ini_complaints *complaints)
{
	buf_clear(&complaints->text);
	complaints->error_count = complaints->warning_count = 0;
}

void ini_complaints_release(struct ini_complaints *complaints)
{
	buf_release(&complaints->text);
}

__attribute__((format(printf, 4, 0))) static void complain(struct ini_complaints *complaints,
    struct ini_place place, const char *kind, const char *format, va_list args)
{
	struct buf *text = &complaints->text;

	if (place.file != NULL && place.line > 0)
		buf_printf(text, "%s:%u: ", place.file, place.line);
	else if (place.file != NULL)
		buf_printf(text, "%s: ", place.file);
	buf_add_text(text, kind);
	buf_vprintf(text, format, args);
	buf_add_text(text, "\n");
}

void ini_error(struct ini_complaints *complaints, struct ini_place place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(complaints, place, "", format, args);
	va_end(args);
	complaints->error_count++;
}

void ini_warning(struct ini_complaints *complaints, struct ini_place place, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(complaints, place, "warning: ", format, args);
	va_end(args);
	complaints->warning_count++;
}

/* ---- sections and settings ------------------------------------------------------------------ */

static struct ini_section *find_section(struct ini *ini, const char *name)
{
	for (struct ini_section *section = ini->sections; section != NULL; section = section->next) {
		if (strcmp(section->name, name) == 0)
			return section;
	}
	return NULL;
}

/* NULL if there are SECTIONS_MAX already. */
static struct ini_section *add_section(struct ini *ini, const char *name, struct ini_place place)
{
	struct ini_section **at = &ini->sections;
	size_t count = 0;

	for (; *at != NULL; at = &(*at)->next)
		count++;
	if (count == SECTIONS_MAX)
		return NULL;
	*at = keep(ini, sizeof **at);
	**at = (struct ini_section){.name = name, .place = place};
	return *at;
}

/* False if there are SETTINGS_MAX already. */
static bool add_setting(
    struct ini *ini, struct ini_section *section, const char *key, const char *value, struct ini_place place)
{
	struct ini_setting **at = &section->settings;
	size_t count = 0;

	for (; *at != NULL; at = &(*at)->next)
		count++;
	if (count == SETTINGS_MAX)
		return false;
	*at = keep(ini, sizeof **at);
	**at = (struct ini_setting){.key = key, .value = value, .place = place};
	return true;
}

/* ---- variables ------------------------------------------------------------------------------ */

static bool is_variable_name(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

	return len > 0 && name[len] == '\0' && !isdigit((unsigned char)name[0]);
}

/* Appends what NAME or NAME:-DEFAULT stands for; false if that was complained about. */
static bool fill_variable(struct reading *reading, const char *inside, size_t len, struct buf *out)
{
	char *name = xstrndup(inside, len);
	char *fallback = strstr(name, ":-");
	const char *value = NULL;
	bool is_filled = false;

	if (fallback != NULL) {
		*fallback = '\0';
		fallback += 2;
	}
	if (!is_variable_name(name)) {
		ini_error(reading->complaints, reading->place, "'%s' is no name of a variable", name);
		goto out;
	}
	value = reading->environment(name);
	if (fallback != NULL && (value == NULL || *value == '\0'))
		value = fallback;
	if (value == NULL) {
		ini_error(reading->complaints, reading->place,
		    "environment variable '%s' is not set (a default is written ${%s:-default})", name, name);
		goto out;
	}
	buf_add_text(out, value); /* fill_in() asks whether it all fitted */
	is_filled = true;
out:
	free(name);
	return is_filled;
}

/* Copies text to out with its variables filled in; false if something was complained about.  All variables
 * are looked at. */
static bool fill_in(struct reading *reading, const char *text, struct buf *out)
{
	bool all_filled = true;
	const char *dollar;

	while ((dollar = strstr(text, "${")) != NULL) {
		const char *end = strchr(dollar, '}');

		if (dollar > text && dollar[-1] == '$') { /* "$${" */
			buf_add(out, text, (size_t)(dollar - text) - 1);
			buf_add_text(out, "${");
			text = dollar + 2;
			continue;
		}
		if (end == NULL) {
			ini_error(reading->complaints, reading->place,
			    "'${' without '}' (a literal one is written $${)");
			return false;
		}
		buf_add(out, text, (size_t)(dollar - text));
		all_filled =
		    fill_variable(reading, dollar + 2, (size_t)(end - dollar) - 2, out) && all_filled;
		text = end + 1;
	}
	buf_add_text(out, text);
	if (out->overflowed)
		ini_error(reading->complaints, reading->place,
		    "value is longer than %d bytes with its variables filled in", INI_LINE_BYTES);
	return all_filled && !out->overflowed;
}

/* ---- include -------------------------------------------------------------------------------- */

static void read_file(struct reading *reading, const char *path, struct ini_place named_at);

static void note_source(struct ini *ini, const char *pattern)
{
	struct ini_source *source = keep(ini, sizeof *source);

	*source = (struct ini_source){.pattern = keep_text(ini, pattern, strlen(pattern)), .next = ini->sources};
	ini->sources = source;
}

/* The pattern as seen from the file that names it; the caller frees. */
static char *beside(const char *file, const char *pattern)
{
	const char *slash = strrchr(file, '/');

	if (pattern[0] == '/' || slash == NULL)
		return xstrdup(pattern);
	return xasprintf("%.*s/%s", (int)(slash - file), file, pattern);
}

static void include(struct reading *reading, const char *value)
{
	char *pattern;
	glob_t found = {0};
	int result;

	if (reading->files == NULL) {
		ini_error(reading->complaints, reading->place, "'include' works in files only");
		return;
	}
	if (reading->depth == INI_DEPTH) {
		ini_error(reading->complaints, reading->place, "'include' is nested deeper than %d files",
		    INI_DEPTH);
		return;
	}
	if (*value == '\0') {
		ini_error(reading->complaints, reading->place, "'include' names no file");
		return;
	}
	pattern = beside(reading->name, value);
	note_source(reading->ini, pattern);
	/* A name without wildcards comes back as it is, so that a file which is not there is complained
	 * about. */
	result = glob(pattern, strpbrk(pattern, "*?[") == NULL ? GLOB_NOCHECK : 0, NULL, &found);
	if (result != 0 && result != GLOB_NOMATCH)
		ini_error(reading->complaints, reading->place, "cannot look for '%s'", pattern);
	for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
		struct reading inner = {
		    .ini = reading->ini,
		    .complaints = reading->complaints,
		    .environment = reading->environment,
		    .files = reading->files,
		    .depth = reading->depth + 1,
		};

		read_file(&inner, found.gl_pathv[i], reading->place);
	}
	globfree(&found);
	free(pattern);
}

static bool takes_include(const struct ini_section *section)
{
	return section->name != NULL &&
	       (strcmp(section->name, "collector") == 0 || strcmp(section->name, "controller") == 0);
}

/* ---- what libinih hands back ---------------------------------------------------------------- */

/* Reads no further in this file. */
static void give_up(struct reading *reading, const char *what, int limit)
{
	ini_error(reading->complaints, reading->place, "more than %d %s: the rest of the file is not read",
	    limit, what);
	reading->next = reading->end;
}

static void finish_setting(struct reading *reading, const char *key)
{
	struct ini *ini = reading->ini;
	struct ini_section *section = reading->section;
	struct ini_place place = reading->place;
	struct buf filled;
	const char *value = NULL;

	buf_init(&filled, INI_LINE_BYTES);
	if (fill_in(reading, buf_text(&reading->value), &filled))
		value = keep_text(ini, buf_text(&filled), filled.len);
	buf_release(&filled);
	if (strcmp(key, "include") == 0 && takes_include(section)) {
		if (value != NULL)
			include(reading, value);
		return;
	}
	if (!add_setting(ini, section, keep_text(ini, key, strlen(key)), value, place))
		give_up(reading, "settings in one section", SETTINGS_MAX);
}

/* libinih's handler: one piece of a value. */
static int take_piece(void *user, const char *section, const char *name, const char *piece)
{
	struct reading *reading = user;
	size_t len = strlen(piece);

	(void)section; /* cut at 49 bytes; the reader knows better */
	must(len >= 2 && piece[0] == GUARD && piece[len - 1] == GUARD);
	must(buf_add(&reading->value, piece + 1, len - 2)); /* no longer than the logical line */
	if (!reading->has_piece)
		finish_setting(reading, name);
	return 1;
}

/* ---- what libinih is given ------------------------------------------------------------------ */

static bool is_blank(char c)
{
	return isspace((unsigned char)c) != 0;
}

/* Takes one line off the text, without the blanks around it; false at the end. */
static bool take_line(struct reading *reading, const char **ret_line, size_t *ret_len)
{
	const char *line = reading->next, *newline;
	size_t len;

	if (line == reading->end)
		return false;
	newline = memchr(line, '\n', (size_t)(reading->end - line));
	len = (size_t)((newline != NULL ? newline : reading->end) - line);
	reading->next = newline != NULL ? newline + 1 : reading->end;
	reading->line++;
	while (len > 0 && is_blank(line[0])) {
		line++;
		len--;
	}
	while (len > 0 && is_blank(line[len - 1]))
		len--;
	*ret_line = line;
	*ret_len = len;
	return true;
}

static bool is_comment(const char *line, size_t len)
{
	return len > 0 && (line[0] == ';' || line[0] == '#');
}

/* Where the comment behind a value begins, with the blanks before it; len if there is none. */
static size_t comment_start(const char *line, size_t len)
{
	for (size_t i = 1; i < len; i++) {
		if (line[i] != ';' || !is_blank(line[i - 1]))
			continue;
		while (i > 0 && is_blank(line[i - 1]))
			i--;
		return i;
	}
	return len;
}

static bool is_continued(const char *line, size_t len)
{
	size_t backslashes = 0;

	while (backslashes < len && line[len - 1 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

/* Appends the text of one line; tells whether the logical line goes on behind it. */
static bool join_line(struct reading *reading, const char *line, size_t len, bool *ret_fits)
{
	size_t text_len = comment_start(line, len);
	bool goes_on = text_len == len && is_continued(line, len);

	*ret_fits = buf_add(&reading->logical, line, text_len - goes_on);
	return goes_on;
}

/* Gathers one logical line without its comments; false at the end of the text.  A line that is wrong becomes
 * an empty one. */
static bool gather_line(struct reading *reading)
{
	const char *line;
	size_t len;
	bool goes_on = false, has_nul = false, fits = true;

	buf_clear(&reading->logical);
	reading->place.line = reading->line + 1;
	if (!take_line(reading, &line, &len))
		return false;
	do {
		bool line_fits = true;

		has_nul = has_nul || memchr(line, '\0', len) != NULL;
		if (!is_comment(line, len))
			goes_on = join_line(reading, line, len, &line_fits);
		fits = fits && line_fits;
	} while (goes_on && take_line(reading, &line, &len));
	if (goes_on)
		ini_error(
		    reading->complaints, reading->place, "line goes on ('\\' at its end), but the file ends");
	if (has_nul)
		ini_error(reading->complaints, reading->place, "NUL byte in the line");
	if (!fits)
		ini_error(
		    reading->complaints, reading->place, "line is longer than %d bytes", INI_LINE_BYTES);
	if (has_nul || !fits)
		buf_clear(&reading->logical);
	return true;
}

/* "[name]": makes it the current section.  Settings behind a header that is wrong go to no section. */
static void take_header(struct reading *reading, const char *line, size_t len)
{
	const char *close = memchr(line, ']', len);
	const char *name = line + 1;
	size_t name_len = close == NULL ? 0 : (size_t)(close - name);
	struct ini_section *section;
	char *copy;

	reading->section = &reading->unlisted;
	while (name_len > 0 && is_blank(name[0])) {
		name++;
		name_len--;
	}
	while (name_len > 0 && is_blank(name[name_len - 1]))
		name_len--;
	if (close == NULL || close != line + len - 1 || name_len == 0) {
		ini_error(reading->complaints, reading->place,
		    "'%.*s' is no section: a line of its own, [name]", (int)(len < 60 ? len : 60), line);
		return;
	}
	copy = xstrndup(name, name_len);
	section = find_section(reading->ini, copy);
	if (section != NULL)
		ini_error(reading->complaints, reading->place, "section [%s] is given twice, first at %s:%u",
		    copy, section->place.file, section->place.line);
	else
		section = add_section(reading->ini, keep_text(reading->ini, name, name_len), reading->place);
	if (section != NULL)
		reading->section = section;
	else
		give_up(reading, "sections", SECTIONS_MAX);
	free(copy);
}

static bool is_key(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)key[i]) || (unsigned char)key[i] >= 0x80)
			return false;
	}
	return len > 0 && len <= INI_KEY_BYTES;
}

/* "key = value": makes it what the next pieces come from; false if that was complained about. */
static bool take_setting(struct reading *reading, const char *line, size_t len)
{
	size_t sign = 0, key_len;

	while (sign < len && line[sign] != '=' && line[sign] != ':')
		sign++;
	for (key_len = sign; key_len > 0 && is_blank(line[key_len - 1]);)
		key_len--;
	if (sign == len) {
		ini_error(reading->complaints, reading->place,
		    "'%.*s' is neither 'key = value' nor a section", (int)(len < 60 ? len : 60), line);
		return false;
	}
	if (!is_key(line, key_len)) {
		ini_error(reading->complaints, reading->place, "'%.*s' is no key",
		    (int)(key_len < 60 ? key_len : 60), line);
		return false;
	}
	if (reading->section == NULL) {
		ini_error(reading->complaints, reading->place, "'%.*s' stands before the first section",
		    (int)key_len, line);
		return false;
	}
	for (sign++; sign < len && is_blank(line[sign]);)
		sign++;
	while (len > sign && is_blank(line[len - 1]))
		len--;
	reading->key = line;
	reading->key_len = key_len;
	reading->rest = line + sign;
	reading->rest_len = len - sign;
	reading->has_piece = true;
	reading->has_begun = false;
	buf_clear(&reading->value);
	return true;
}

/* Goes on to the next setting; sections and complaints are dealt with on the way.  False at the end of the
 * text. */
static bool find_setting(struct reading *reading)
{
	while (gather_line(reading)) {
		const char *line = reading->logical.data;
		size_t len = reading->logical.len;

		if (len == 0)
			continue;
		if (line[0] == '[')
			take_header(reading, line, len);
		else if (take_setting(reading, line, len))
			return true;
	}
	return false;
}

/* How much of the rest goes into a piece of at most `room` bytes.  A piece ends before what libinih would
 * take for a comment. */
static size_t piece_len(const struct reading *reading, size_t room)
{
	size_t len = reading->rest_len < room ? reading->rest_len : room;

	for (size_t i = 1; i < len; i++) {
		if (reading->rest[i] == ';' && is_blank(reading->rest[i - 1]))
			return i;
	}
	return len;
}

/* libinih's reader: one line, either "key=|piece|" or " |piece|". */
static char *give_piece(char *line, int size, void *stream)
{
	struct reading *reading = stream;
	size_t len, head_len;

	must(size >= INIH_LINE_BYTES);
	if (!reading->has_piece && !find_setting(reading))
		return NULL;
	head_len = reading->has_begun ? 1 : reading->key_len + 1;
	if (reading->has_begun)
		line[0] = ' ';
	else
		snprintf(line, (size_t)size, "%.*s=", (int)reading->key_len, reading->key);
	len = piece_len(reading, INIH_LINE_BYTES - head_len - sizeof "||\n");
	line[head_len] = GUARD;
	memcpy(line + head_len + 1, reading->rest, len);
	memcpy(line + head_len + 1 + len, (char[]){GUARD, '\n', '\0'}, 3);
	reading->rest += len;
	reading->rest_len -= len;
	reading->has_piece = reading->rest_len > 0;
	reading->has_begun = true;
	return line;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void read_text(struct reading *reading, const char *text, size_t len)
{
	int result;

	if (len >= 3 &&
	    memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark of other systems' editors */
		text += 3;
		len -= 3;
	}
	reading->next = text;
	reading->end = text + len;
	reading->place.file = reading->name;
	buf_init(&reading->logical, INI_LINE_BYTES);
	buf_init(&reading->value, INI_LINE_BYTES);
	result = ini_parse_stream(give_piece, reading, take_piece, reading);
	if (result != 0) /* a libinih that was built to refuse what others take */
		ini_error(reading->complaints, (struct ini_place){.file = reading->name},
		    "libinih cannot read this file (%d)", result);
	buf_release(&reading->logical);
	buf_release(&reading->value);
}

/* Notes the file; NULL if it was named before, which is complained about: it would only repeat its sections,
 * and files that include each other could be read in more orders than anybody can wait for. */
static struct known_file *note_file(
    struct reading *reading, const char *path, const struct stat *st, struct ini_place named_at)
{
	struct known_file *file;

	for (file = *reading->files; file != NULL; file = file->next) {
		if (file->dev != st->st_dev || file->ino != st->st_ino)
			continue;
		ini_error(reading->complaints, named_at,
		    file->is_open ? "'%s' is included while it is being read" : "'%s' is included twice",
		    path);
		return NULL;
	}
	file = keep(reading->ini, sizeof *file);
	*file = (struct known_file){
	    .dev = st->st_dev, .ino = st->st_ino, .is_open = true, .next = *reading->files};
	*reading->files = file;
	return file;
}

static void read_file(struct reading *reading, const char *path, struct ini_place named_at)
{
	struct known_file *file = NULL;
	struct buf text;
	struct err err = {0};
	struct stat st;

	reading->name = keep_text(reading->ini, path, strlen(path));
	if (stat(path, &st) == 0) { /* if not, reading will say why */
		file = note_file(reading, path, &st, named_at);
		if (file == NULL)
			return;
	}
	buf_init(&text, INI_FILE_BYTES);
	if (file_read(path, &text, &err) == 0)
		read_text(reading, buf_text(&text), text.len);
	else
		ini_error(reading->complaints, named_at, "%s", err.text);
	buf_release(&text);
	if (file != NULL)
		file->is_open = false;
}

void ini_read_file(struct ini *ini, const char *path, char *(*environment)(const char *name),
    struct ini_complaints *complaints)
{
	struct known_file *files = NULL;
	struct reading reading = {
	    .ini = ini, .complaints = complaints, .environment = environment, .files = &files};

	note_source(ini, path);
	read_file(&reading, path, (struct ini_place){0});
}

void ini_read_text(struct ini *ini, const char *name, const char *text, size_t len,
    char *(*environment)(const char *name), struct ini_complaints *complaints)
{
	struct reading reading = {.ini = ini, .complaints = complaints, .environment = environment};

	reading.name = keep_text(ini, name, strlen(name));
	read_text(&reading, text, len);
}

/* ---- -o ------------------------------------------------------------------------------------- */

static void remove_settings(struct ini_section *section, const char *key)
{
	struct ini_setting **at = &section->settings;

	while (*at != NULL) {
		if (strcmp((*at)->key, key) == 0)
			*at = (*at)->next; /* its memory stays with the ini */
		else
			at = &(*at)->next;
	}
}

void ini_override(struct ini *ini, const char *assignment, struct ini_complaints *complaints)
{
	struct ini_place place = {.file = keep_text(ini, "-o", 2)};
	const char *sign = strchr(assignment, '=');
	const char *dot = strchr(assignment, '.');
	const char *section_name, *key;
	struct ini_section *section;

	if (sign == NULL || dot == NULL || dot > sign || dot == assignment ||
	    !is_key(dot + 1, (size_t)(sign - dot) - 1)) {
		ini_error(complaints, place, "'%s' is not section.key=value", assignment);
		return;
	}
	section_name = keep_text(ini, assignment, (size_t)(dot - assignment));
	key = keep_text(ini, dot + 1, (size_t)(sign - dot) - 1);
	section = find_section(ini, section_name);
	if (section == NULL)
		section = add_section(ini, section_name, place);
	if (section == NULL) {
		ini_error(complaints, place, "more than %d sections", SECTIONS_MAX);
		return;
	}
	if (strcmp(key, "include") == 0 && takes_include(section)) {
		ini_error(complaints, place, "'include' works in files only");
		return;
	}
	remove_settings(section, key);
	if (!add_setting(ini, section, key, keep_text(ini, sign + 1, strlen(sign + 1)), place))
		ini_error(complaints, place, "more than %d settings in [%s]", SETTINGS_MAX, section_name);
}
