/* A section of settings -> the fields of a struct, by way of option rows.
 *
 * Every field is set to its row's fallback first; then each setting finds its row and replaces that.  A
 * setting that is wrong becomes a complaint with its place and the next one is looked at, so that one run
 * finds everything that is wrong.  Prefix rows ("header.") take every key that begins with theirs and that no
 * other row has.
 *
 * The bound struct belongs to the caller, the texts and lists in it to the rows (bind_release).  Knows no
 * option by name: the rows stand in the module that uses them.  Opens files only to see whether they can be
 * read. */
#include "config.h"
#include "conf/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/must.h"
#include "conf/row.h"
#include "conf/units.h"

#define SHOWN_BYTES       60 /* of a value, in a complaint */
#define NEAREST_MAX_BYTES 64
#define NEAREST_DISTANCE  3
#define NAMES_MAX         128

/* One section on its way into its structs. */
struct binding {
	const struct ini_section *section; /* NULL: all defaults */
	const char *section_name;
	const struct bind_target *targets;
	size_t target_count;
	struct ini_complaints *complaints;
};

/* ---- nearest names -------------------------------------------------------------------------- */

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours count one each. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][NEAREST_MAX_BYTES + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	must(b_len <= NEAREST_MAX_BYTES);
	for (size_t j = 0; j <= b_len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] =
			    smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_len];
}

const char *bind_nearest(const char *word, const char *const *names, size_t name_count)
{
	size_t word_len = strlen(word), least = NEAREST_DISTANCE + 1;
	const char *nearest = NULL;

	if (word_len > NEAREST_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < name_count; i++) {
		size_t name_len = strlen(names[i]);
		size_t distance =
		    name_len > NEAREST_MAX_BYTES ? least : edit_distance(word, word_len, names[i], name_len);

		if (distance >= least || 2 * distance >= word_len)
			continue;
		least = distance;
		nearest = names[i];
	}
	return nearest;
}

/* ---- fields --------------------------------------------------------------------------------- */

static void list_release(struct bind_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct bind_list){0};
}

static void list_add(struct bind_list *list, char *item)
{
	list->items = xrealloc(list->items, (list->count + 1) * sizeof list->items[0]);
	list->items[list->count++] = item;
}

static bool lists_equal(const struct bind_list *a, const struct bind_list *b)
{
	for (size_t i = 0; a->count == b->count && i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return a->count == b->count;
}

static void field_release(const struct bind_row *row, void *field)
{
	switch (row->kind) {
	case BIND_TEXT:
	case BIND_FILE:
	case BIND_SECRET_FILE:
	case BIND_TEMPLATE:
		free(*(char **)field);
		*(char **)field = NULL;
		break;
	case BIND_LIST:
	case BIND_PREFIX: list_release(field); break;
	case BIND_BOOL:
	case BIND_COUNT:
	case BIND_SIZE:
	case BIND_DURATION:
	case BIND_DURATION_RANGE:
	case BIND_WORD: break;
	}
}

static bool texts_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool fields_equal(const struct bind_row *row, const void *a, const void *b)
{
	switch (row->kind) {
	case BIND_TEXT:
	case BIND_FILE:
	case BIND_SECRET_FILE:
	case BIND_TEMPLATE: return texts_equal(*(char *const *)a, *(char *const *)b);
	case BIND_LIST:
	case BIND_PREFIX: return lists_equal(a, b);
	case BIND_BOOL: return *(const bool *)a == *(const bool *)b;
	case BIND_COUNT:
	case BIND_SIZE:
	case BIND_DURATION: return *(const uint64_t *)a == *(const uint64_t *)b;
	case BIND_DURATION_RANGE:
		return ((const struct bind_range *)a)->min == ((const struct bind_range *)b)->min &&
		       ((const struct bind_range *)a)->max == ((const struct bind_range *)b)->max;
	case BIND_WORD: return *(const int *)a == *(const int *)b;
	}
	must(!"a kind of row");
	return false;
}

void bind_release(const struct bind_row *rows, void *from)
{
	for (; rows->key != NULL; rows++) {
		if (!row_is_later(rows)) /* such a row has no field */
			field_release(rows, (char *)from + rows->offset);
	}
}

static void visit_list(const struct bind_list *list, void (*visit)(void *arg, const char *text), void *arg)
{
	for (size_t i = 0; i < list->count; i++)
		visit(arg, list->items[i]);
}

void bind_each_text(
    const struct bind_row *rows, const void *from, void (*visit)(void *arg, const char *text), void *arg)
{
	for (; rows->key != NULL; rows++) {
		const char *field = (const char *)from + rows->offset;

		if (row_is_later(rows) || rows->secret)
			continue;
		if (rows->kind == BIND_LIST || rows->kind == BIND_PREFIX)
			visit_list((const struct bind_list *)(const void *)field, visit, arg);
		else if ((rows->kind == BIND_TEXT || rows->kind == BIND_TEMPLATE) &&
			 *(char *const *)(const void *)field != NULL)
			visit(arg, *(char *const *)(const void *)field);
	}
}

bool bind_equal(const struct bind_row *rows, const void *a, const void *b)
{
	for (; rows->key != NULL; rows++) {
		if (!row_is_later(rows) &&
		    !fields_equal(rows, (const char *)a + rows->offset, (const char *)b + rows->offset))
			return false;
	}
	return true;
}

/* ---- values --------------------------------------------------------------------------------- */

/* What is wrong with a value goes to err, worded to follow the quoted "'key = value'". */
static int refuse(struct err *err, const char *complaint)
{
	return err_set(err, -EINVAL, " %s", complaint);
}

/* What holds for every text: known to this version, and not objected to by the row's own judge. */
static int check_text(const struct bind_row *row, const char *text, struct err *err)
{
	const char *complaint;

	if (row_is_later_word(row, text))
		return refuse(err, "is not in this version");
	complaint = row->check != NULL ? row->check(text) : NULL;
	return complaint == NULL ? 0 : err_set(err, -EINVAL, ": %s", complaint);
}

static int set_text(const struct bind_row *row, char **field, const char *text, struct err *err)
{
	int result = *text == '\0' ? 0 : check_text(row, text, err);

	if (result == 0)
		*field = *text == '\0' ? NULL : xstrdup(text);
	return result;
}

static int add_items(const struct bind_row *row, struct bind_list *list, const char *text, struct err *err)
{
	int result = 0;

	while (*text != '\0' && result == 0) {
		size_t len = strcspn(text, ","), item_len = len;
		char *item;

		while (item_len > 0 && text[item_len - 1] == ' ')
			item_len--;
		item = xstrndup(text, item_len);
		result = item_len > 0 ? check_text(row, item, err) : 0;
		if (result == 0 && item_len > 0)
			list_add(list, item);
		else
			free(item);
		text += len;
		text += strspn(text, ", \t");
	}
	return result;
}

static int check_bounds(const struct bind_row *row, uint64_t number, struct err *err)
{
	bool is_below = number < row->min;
	struct buf bound;

	if (!is_below && (row->max == 0 || number <= row->max))
		return 0;
	buf_init(&bound, 64);
	row_add_number(row, is_below ? row->min : row->max, &bound);
	err_set(err, -ERANGE, " is %s %s", is_below ? "below" : "above", buf_text(&bound));
	buf_release(&bound);
	return -ERANGE;
}

static int set_number(const struct bind_row *row, uint64_t *field, const char *text, struct err *err)
{
	const char *complaint = NULL;
	uint64_t number = 0;
	bool is_read;
	int result;

	if (row->kind == BIND_SIZE)
		is_read = units_parse_size(text, &number, &complaint);
	else if (row->kind == BIND_DURATION)
		is_read = units_parse_duration(text, &number, &complaint);
	else
		is_read = units_parse_count(text, &number, &complaint);
	if (!is_read)
		return refuse(err, complaint);
	result = check_bounds(row, number, err);
	if (result == 0)
		*field = number;
	return result;
}

static int set_range(const struct bind_row *row, struct bind_range *field, const char *text, struct err *err)
{
	const char *complaint = NULL;
	struct bind_range range;
	int result;

	if (!units_parse_duration_range(text, &range.min, &range.max, &complaint))
		return refuse(err, complaint);
	result = check_bounds(row, range.min, err);
	if (result == 0)
		result = check_bounds(row, range.max, err);
	if (result == 0)
		*field = range;
	return result;
}

static int set_bool(bool *field, const char *text, struct err *err)
{
	const char *complaint = NULL;

	return units_parse_bool(text, field, &complaint) ? 0 : refuse(err, complaint);
}

/* "is none of kafka, http; did you mean 'kafka'?" */
static int refuse_word(const struct bind_row *row, const char *text, struct err *err)
{
	const char *names[NAMES_MAX];
	const char *nearest;
	size_t name_count = 0;
	struct buf list;

	for (const char *const *word = row->words; *word != NULL && name_count < NAMES_MAX; word++) {
		if (!row_is_later_word(row, *word))
			names[name_count++] = *word;
	}
	buf_init(&list, ERR_TEXT_BYTES);
	row_add_words(row, &list);
	nearest = bind_nearest(text, names, name_count);
	if (nearest != NULL)
		err_set(err, -EINVAL, " is none of %s; did you mean '%s'?", buf_text(&list), nearest);
	else
		err_set(err, -EINVAL, " is none of %s", buf_text(&list));
	buf_release(&list);
	return -EINVAL;
}

static int set_word(const struct bind_row *row, int *field, const char *text, struct err *err)
{
	if (row_is_later_word(row, text))
		return refuse(err, "is not in this version");
	for (int i = 0; row->words[i] != NULL; i++) {
		if (strcmp(row->words[i], text) != 0)
			continue;
		*field = i;
		return 0;
	}
	return refuse_word(row, text, err);
}

static int set_value(const struct bind_row *row, void *field, const char *text, struct err *err)
{
	switch (row->kind) {
	case BIND_TEXT:
	case BIND_FILE:
	case BIND_SECRET_FILE:
	case BIND_TEMPLATE: return set_text(row, field, text, err);
	case BIND_LIST: return add_items(row, field, text, err);
	case BIND_BOOL: return set_bool(field, text, err);
	case BIND_COUNT:
	case BIND_SIZE:
	case BIND_DURATION: return set_number(row, field, text, err);
	case BIND_DURATION_RANGE: return set_range(row, field, text, err);
	case BIND_WORD: return set_word(row, field, text, err);
	case BIND_PREFIX: break; /* has no value of its own, see add_prefixed */
	}
	must(!"a kind of row with a value");
	return -EINVAL;
}

/* "header.X-Scope = a" -> "X-Scope=a" */
static int add_prefixed(
    const struct bind_row *row, struct bind_list *list, const struct ini_setting *setting, struct err *err)
{
	char *item = xasprintf("%s=%s", setting->key + strlen(row->key), setting->value);
	int result = check_text(row, item, err);

	if (result == 0)
		list_add(list, item);
	else
		free(item);
	return result;
}

/* ---- complaints with their place ------------------------------------------------------------ */

static void complain_of_value(const struct binding *binding, const struct bind_row *row,
    const struct ini_setting *setting, const char *what)
{
	const char *shown = row->secret ? "***" : setting->value;
	size_t len = strlen(shown);

	ini_error(binding->complaints, setting->place, "'%s = %.*s%s'%s", setting->key,
	    len > SHOWN_BYTES ? SHOWN_BYTES : (int)len, shown, len > SHOWN_BYTES ? "..." : "", what);
}

/* The nearest key of this version to the first len bytes of a key: a whole key, or a prefix like "header.".
 */
static const char *nearest_key(const struct binding *binding, const char *key, size_t len, bool is_prefix)
{
	const char *names[NAMES_MAX];
	size_t name_count = 0;
	char *word = xstrndup(key, len);
	const char *nearest;

	for (size_t i = 0; i < binding->target_count; i++) {
		for (const struct bind_row *row = binding->targets[i].rows;
		     row->key != NULL && name_count < NAMES_MAX; row++) {
			if ((row->kind == BIND_PREFIX) == is_prefix && !row_is_later(row))
				names[name_count++] = row->key;
		}
	}
	nearest = bind_nearest(word, names, name_count);
	free(word);
	return nearest;
}

static void complain_of_key(const struct binding *binding, const struct ini_setting *setting)
{
	size_t prefix_len = strcspn(setting->key, ".") + 1;
	const char *rest = "", *nearest = nearest_key(binding, setting->key, strlen(setting->key), false);

	if (nearest == NULL && prefix_len < strlen(setting->key)) {
		nearest = nearest_key(binding, setting->key, prefix_len, true);
		rest = setting->key + prefix_len;
	}
	if (nearest != NULL)
		ini_error(binding->complaints, setting->place,
		    "unknown key '%s' in [%s]; did you mean '%s%s'?", setting->key, binding->section_name,
		    nearest, rest);
	else
		ini_error(binding->complaints, setting->place, "unknown key '%s' in [%s]", setting->key,
		    binding->section_name);
}

/* A file that is named must be there now: better told by --check-config than at the first connection. */
static void check_file(
    const struct binding *binding, const struct bind_row *row, const struct ini_setting *setting)
{
	int fd = open(
	    setting->value, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
	struct err err;
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1) {
		err_set(&err, -errno, ": cannot open the file: %s", strerror(errno));
		complain_of_value(binding, row, setting, err.text);
	} else if (S_ISDIR(st.st_mode)) {
		complain_of_value(binding, row, setting, " is a directory");
	} else if (row->kind == BIND_SECRET_FILE && (st.st_mode & S_IROTH) != 0) {
		ini_warning(binding->complaints, setting->place, "'%s' can be read by everybody (mode %04o)",
		    setting->value, (unsigned)st.st_mode & 07777);
	}
	if (fd != -1)
		(void)close(fd); /* read only */
}

/* ---- a section ------------------------------------------------------------------------------ */

static bool takes_key(const struct bind_row *row, const char *key)
{
	size_t len = strlen(row->key);

	if (row->kind == BIND_PREFIX)
		return strncmp(row->key, key, len) == 0 && key[len] != '\0';
	return strcmp(row->key, key) == 0;
}

/* The row for a key and the struct that it fills; plain rows go before prefixes. */
static const struct bind_row *find_row(const struct binding *binding, const char *key, void **ret_into)
{
	const struct bind_row *found = NULL;

	for (size_t i = 0; i < binding->target_count; i++) {
		for (const struct bind_row *row = binding->targets[i].rows; row->key != NULL; row++) {
			if (!takes_key(row, key) || (found != NULL && row->kind == BIND_PREFIX))
				continue;
			found = row;
			*ret_into = binding->targets[i].into;
			if (row->kind != BIND_PREFIX)
				return found;
		}
	}
	return found;
}

/* The first setting with this key that stands before `setting`, or NULL. */
static const struct ini_setting *find_earlier(
    const struct binding *binding, const struct ini_setting *setting)
{
	const struct ini_setting *earlier = binding->section->settings;

	while (earlier != setting && strcmp(earlier->key, setting->key) != 0)
		earlier = earlier->next;
	return earlier == setting ? NULL : earlier;
}

static void bind_value(
    const struct binding *binding, const struct bind_row *row, const struct ini_setting *setting, void *field)
{
	struct err err = {0};
	int result;

	if (row->kind == BIND_PREFIX) {
		result = add_prefixed(row, field, setting, &err);
	} else {
		if (row->kind != BIND_LIST || find_earlier(binding, setting) == NULL)
			field_release(row, field); /* the fallback goes */
		result = set_value(row, field, setting->value, &err);
	}
	if (result != 0)
		complain_of_value(binding, row, setting, err.text);
	else if ((row->kind == BIND_FILE || row->kind == BIND_SECRET_FILE) && *setting->value != '\0')
		check_file(binding, row, setting);
}

static void bind_setting(const struct binding *binding, const struct ini_setting *setting)
{
	void *into = NULL;
	const struct bind_row *row = find_row(binding, setting->key, &into);
	const struct ini_setting *earlier;

	if (row == NULL) {
		complain_of_key(binding, setting);
		return;
	}
	if (row_is_later(row)) {
		ini_error(binding->complaints, setting->place, "'%s' is not in this version", setting->key);
		return;
	}
	earlier = row->kind == BIND_LIST ? NULL : find_earlier(binding, setting);
	if (earlier != NULL) {
		ini_error(binding->complaints, setting->place, "'%s' is given twice in [%s], first at %s:%u",
		    setting->key, binding->section_name, earlier->place.file, earlier->place.line);
		return;
	}
	if (setting->value != NULL)
		bind_value(binding, row, setting, (char *)into + row->offset);
}

static void set_fallback(const struct bind_row *row, void *field)
{
	struct err err;

	if (row->fallback == NULL || row_is_later(row))
		return;
	field_release(row, field);
	must(set_value(row, field, row->fallback, &err) == 0); /* a row whose fallback is wrong */
}

static const struct ini_setting *find_setting(const struct ini_section *section, const char *key)
{
	const struct ini_setting *setting = section != NULL ? section->settings : NULL;

	while (setting != NULL && strcmp(setting->key, key) != 0)
		setting = setting->next;
	return setting;
}

static void check_required(const struct binding *binding, const struct bind_row *row)
{
	const struct ini_setting *setting = find_setting(binding->section, row->key);

	if (!row->required || row->fallback != NULL)
		return;
	if (setting == NULL)
		ini_error(binding->complaints, bind_place(binding->section, row->key), "[%s] needs '%s'",
		    binding->section_name, row->key);
	else if (setting->value != NULL && *setting->value == '\0')
		ini_error(binding->complaints, setting->place, "'%s' is empty", row->key);
}

void bind_section(const struct ini_section *section, const char *section_name,
    const struct bind_target *targets, size_t target_count, struct ini_complaints *complaints)
{
	struct binding binding = {
	    .section = section,
	    .section_name = section_name,
	    .targets = targets,
	    .target_count = target_count,
	    .complaints = complaints,
	};

	for (size_t i = 0; i < target_count; i++) {
		for (const struct bind_row *row = targets[i].rows; row->key != NULL; row++)
			set_fallback(row, (char *)targets[i].into + row->offset);
	}
	for (const struct ini_setting *setting = section != NULL ? section->settings : NULL; setting != NULL;
	     setting = setting->next)
		bind_setting(&binding, setting);
	for (size_t i = 0; i < target_count; i++) {
		for (const struct bind_row *row = targets[i].rows; row->key != NULL; row++)
			check_required(&binding, row);
	}
}

struct ini_place bind_place(const struct ini_section *section, const char *key)
{
	const struct ini_setting *setting = find_setting(section, key);

	if (setting != NULL)
		return setting->place;
	return section != NULL ? section->place : (struct ini_place){0};
}
