/* The database file: what comes back, what damage does, and what is left when the process dies at any of its
 * calls.
 *
 * A mark's fingerprint is made of its row, as a real one is made of the bytes before it: so the test can say,
 * as the collector does, whether a mark that was read fits.  DRAVE_TEST_LONG=1 flips every bit instead of a
 * sample. */
#include "config.h"
#include "collector/checkpoint_db.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/file.h"
#include "common/must.h"
#include "tests/unit/scratch.h"
#include "tests/unit/shaky.h"
#include "tests/unit/unit.h"

#define SEGMENTS 60
#define NOW_NS   (INT64_C(1700000000) * 1000000000)

/* ---- a database with known rows --------------------------------------------------------------- */

static uint64_t fingerprint(int64_t segment, const char *output, uint64_t offset)
{
	uint64_t hash = (uint64_t)segment * 0x9e3779b97f4a7c15u ^ offset * 0xbf58476d1ce4e5b9u;

	for (; *output != '\0'; output++)
		hash = (hash ^ (unsigned char)*output) * 0x100000001b3u;
	return hash;
}

static uint64_t offset_at(int64_t segment, unsigned round)
{
	return (uint64_t)segment * 1000 + round * 10;
}

/* What was read. */
struct picture {
	unsigned segments, marks, outputs, wrong, lowest_round, highest_round;
	bool knows_main, any_output;
	struct db_segment last_segment;
	struct db_mark last_mark;
	char text[512];
};

static bool see_segment(void *arg, const struct db_segment *row)
{
	struct picture *picture = arg;

	picture->segments++;
	picture->last_segment = *row;
	snprintf(picture->text, sizeof picture->text, "%s %s", row->key.stream, row->key.path);
	return true;
}

static bool see_mark(void *arg, const struct db_mark *row)
{
	struct picture *picture = arg;
	unsigned round = (unsigned)((row->value.offset - offset_at(row->segment, 0)) / 10);

	picture->marks++;
	picture->last_mark = *row;
	picture->knows_main = picture->knows_main || strcmp(row->output, "main") == 0;
	if (row->value.tail_len != 256 ||
	    row->value.tail_hash != fingerprint(row->segment, row->output, row->value.offset)) {
		picture->wrong++; /* the collector reads this file from its head */
		return true;
	}
	if (picture->marks == 1 || round < picture->lowest_round)
		picture->lowest_round = round;
	if (round > picture->highest_round)
		picture->highest_round = round;
	return true;
}

static bool see_output(void *arg, const struct db_output *row)
{
	struct picture *picture = arg;

	picture->outputs++;
	picture->knows_main = picture->knows_main || strcmp(row->name, "main") == 0;
	picture->any_output = picture->any_output || strcmp(row->name, CHECKPOINT_ANY_OUTPUT) == 0;
	return true;
}

static int open_db(struct checkpoint_db **ret_db, const char *dir, struct picture *picture, struct err *err)
{
	struct db_reader reader = {
	    .segment = see_segment, .mark = see_mark, .output = see_output, .arg = picture};

	*picture = (struct picture){0};
	return checkpoint_db_open(ret_db, dir, &reader, err);
}

/* Opens, and sets damage aside first, as the collector does. */
static struct checkpoint_db *start(const char *dir, struct picture *picture, bool *ret_was_damaged)
{
	struct checkpoint_db *db = NULL;
	char name[ASIDE_NAME_BYTES];
	struct err err = {0};
	int status = open_db(&db, dir, picture, &err);

	if (ret_was_damaged != NULL)
		*ret_was_damaged = status != 0;
	if (status != 0) {
		ck_assert_msg(status == -EUCLEAN || status == -EIO, "%s", err.text);
		ck_assert_int_eq(checkpoint_db_set_aside(dir, name, &err), 0);
		ck_assert_msg(open_db(&db, dir, picture, &err) == 0, "%s", err.text);
	}
	return db;
}

static void add_mark(struct db_change *change, int64_t segment, const char *output, unsigned round)
{
	uint64_t offset = offset_at(segment, round);
	struct db_mark row = {
	    .segment = segment,
	    .output = output,
	    .value = {.offset = offset, .tail_len = 256, .tail_hash = fingerprint(segment, output, offset)},
	};

	db_change_add_mark(change, &row);
}

static void add_segment(struct db_change *change, int64_t id)
{
	char stream[64], path[128];
	struct db_segment row = {
	    .id = id,
	    .key = {.stream = stream,
		.ino = (uint64_t)id,
		.head_len = 256,
		.head_hash = (uint64_t)id,
		.path = path},
	    .seen_at_ns = NOW_NS,
	};

	snprintf(stream, sizeof stream, "0123-4567/app/%" PRId64, id);
	snprintf(path, sizeof path, "/var/log/pods/default_web_0123-4567/app/%" PRId64 ".log", id);
	db_change_add_segment(change, &row);
}

/* All marks move to `round`; in round 0 the rows are made. */
static int write_round(struct checkpoint_db *db, unsigned round, bool is_full)
{
	struct db_change change = {0};
	struct err err;
	int status;

	for (int64_t id = 1; id <= SEGMENTS; id++) {
		if (round == 0)
			add_segment(&change, id);
		add_mark(&change, id, "main", round);
	}
	if (round == 0)
		db_change_add_output(&change, &(struct db_output){.name = "main", .seen_at_ns = NOW_NS});
	status = checkpoint_db_write(db, &change, is_full, &err);
	db_change_release(&change);
	return status;
}

static void make(const char *dir, unsigned rounds)
{
	struct picture picture;
	struct checkpoint_db *db = start(dir, &picture, NULL);

	for (unsigned round = 0; round < rounds; round++)
		ck_assert_int_eq(write_round(db, round, false), 0);
	checkpoint_db_close(db);
}

static void read_all(const struct scratch *scratch, const char *name, struct buf *bytes)
{
	struct err err;

	buf_init(bytes, 16 << 20);
	ck_assert_int_eq(file_read(scratch_path(scratch, name), bytes, &err), 0);
}

static void write_all(const struct scratch *scratch, const char *name, const void *bytes, size_t len)
{
	int fd = open(scratch_path(scratch, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(file_write_all(fd, bytes, len), (ssize_t)len);
	ck_assert_int_eq(close(fd), 0);
}

static void empty_dir(const struct scratch *scratch)
{
	scratch_remove(scratch, "");
	ck_assert_int_eq(mkdir(scratch->path, 0700), 0);
}

/* A start over these files gives all rows of one round, or older ones that fit, or none and knows that there
 * were some. */
static bool assert_starts(const struct scratch *scratch, unsigned highest_round)
{
	struct picture picture;
	bool was_damaged;
	struct checkpoint_db *db = start(scratch->path, &picture, &was_damaged);

	ck_assert_int_le(picture.highest_round, highest_round);
	ck_assert(picture.knows_main || picture.any_output);
	ck_assert_int_eq(was_damaged, picture.any_output);
	ck_assert_int_eq(write_round(db, 0, true), 0); /* and it can be used */
	checkpoint_db_close(db);
	return was_damaged;
}

/* ---- tests ------------------------------------------------------------------------------------ */

START_TEST(what_was_written_comes_back)
{
	struct scratch scratch;
	struct db_change change = {0};
	struct checkpoint_db *db;
	struct picture picture;
	struct err err;
	struct db_segment segment = {
	    .id = 9,
	    .key = {"u/c/0", UINT64_MAX, UINT64_MAX - 1, 3, -1, UINT64_C(1) << 63, 256, UINT64_MAX - 7,
		"/p \xff"},
	    .seen_at_ns = NOW_NS,
	};
	struct db_mark mark = {
	    .segment = 9, .output = "main", .value = {INT64_MAX, 256, UINT64_MAX, INT64_MAX}};

	scratch_init(&scratch);
	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(picture.segments + picture.marks + picture.outputs, 0);
	db_change_add_segment(&change, &segment);
	db_change_add_mark(&change, &mark);
	ck_assert_int_eq(checkpoint_db_write(db, &change, false, &err), 0);
	db_change_release(&change);
	checkpoint_db_close(db);
	ck_assert_int_ne(access(scratch_path(&scratch, "checkpoint.db-wal"), F_OK), 0);

	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(picture.segments, 1);
	ck_assert_int_eq(picture.marks, 1);
	ck_assert_str_eq(picture.text, "u/c/0 /p \xff");
	ck_assert(picture.last_segment.key.dev == UINT64_MAX);
	ck_assert(picture.last_segment.key.first_line_hash == UINT64_C(1) << 63);
	ck_assert(picture.last_segment.key.birth_ns == -1);
	ck_assert(picture.last_segment.key.head_len == 256);
	ck_assert(picture.last_segment.seen_at_ns == NOW_NS);
	ck_assert(picture.last_mark.value.offset == INT64_MAX);
	ck_assert(picture.last_mark.value.tail_hash == UINT64_MAX);
	ck_assert(picture.last_mark.value.size == INT64_MAX);
	checkpoint_db_close(db);
	scratch_release(&scratch);
}
END_TEST

START_TEST(deleted_rows_go_with_their_marks)
{
	struct scratch scratch;
	struct db_change change = {0};
	struct checkpoint_db *db;
	struct picture picture;
	struct err err;

	scratch_init(&scratch);
	make(scratch.path, 1);
	db = start(scratch.path, &picture, NULL);
	for (int64_t id = 2; id <= SEGMENTS; id++)
		db_change_add_gone_segment(&change, id);
	add_mark(&change, 1, "other", 0);
	db_change_add_output(&change, &(struct db_output){.name = "other", .seen_at_ns = NOW_NS});
	ck_assert_int_eq(checkpoint_db_write(db, &change, false, &err), 0);
	db_change_clear(&change);
	db_change_add_gone_output(&change, "main");
	ck_assert_int_eq(checkpoint_db_write(db, &change, false, &err), 0);
	db_change_release(&change);
	checkpoint_db_close(db);
	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(picture.segments, 1);
	ck_assert_int_eq(picture.marks, 1);
	ck_assert_int_eq(picture.outputs, 1);
	ck_assert(!picture.knows_main);
	checkpoint_db_close(db);
	scratch_release(&scratch);
}
END_TEST

START_TEST(files_are_for_us_alone)
{
	static const char *const names[] = {"checkpoint.db", "checkpoint.db-wal", "checkpoint.db-shm"};
	struct scratch scratch;
	struct picture picture;
	struct checkpoint_db *db;

	scratch_init(&scratch);
	umask(0);
	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(write_round(db, 0, false), 0);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct stat st;

		ck_assert_int_eq(lstat(scratch_path(&scratch, names[i]), &st), 0);
		ck_assert_int_eq(st.st_mode, S_IFREG | 0600);
	}
	checkpoint_db_close(db);
	scratch_release(&scratch);
}
END_TEST

START_TEST(link_in_place_of_the_file_is_refused_and_one_above_is_not)
{
	struct scratch scratch;
	struct picture picture;
	struct checkpoint_db *db = NULL;
	struct err err;

	scratch_init(&scratch);
	scratch_dir(&scratch, "real");
	ck_assert_int_eq(symlink("real", scratch_path(&scratch, "state")), 0);
	make(scratch_path(&scratch, "state"), 1);
	ck_assert_int_eq(access(scratch_path(&scratch, "real/checkpoint.db"), F_OK), 0);
	scratch_rename(&scratch, "real/checkpoint.db", "elsewhere.db");
	ck_assert_int_eq(symlink("../elsewhere.db", scratch_path(&scratch, "real/checkpoint.db")), 0);
	ck_assert_int_eq(open_db(&db, scratch_path(&scratch, "state"), &picture, &err), -EINVAL);
	scratch_release(&scratch);
}
END_TEST

static void set_version(const struct scratch *scratch, uint32_t version)
{
	unsigned char bytes[] = {(unsigned char)(version >> 24), (unsigned char)(version >> 16),
	    (unsigned char)(version >> 8), (unsigned char)version};
	int fd = open(scratch_path(scratch, "checkpoint.db"), O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, bytes, sizeof bytes, 60), (ssize_t)sizeof bytes);
	ck_assert_int_eq(close(fd), 0);
}

START_TEST(newer_layout_is_refused_and_left_alone)
{
	struct scratch scratch;
	struct picture picture;
	struct checkpoint_db *db = NULL;
	struct err err;

	scratch_init(&scratch);
	make(scratch.path, 1);
	set_version(&scratch, 2);
	ck_assert_int_eq(open_db(&db, scratch.path, &picture, &err), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(err.text, "newer version"));
	set_version(&scratch, 1);
	ck_assert_int_eq(open_db(&db, scratch.path, &picture, &err), 0);
	ck_assert_int_eq(picture.marks, SEGMENTS);
	checkpoint_db_close(db);
	set_version(&scratch, 0x01000001);
	ck_assert(assert_starts(&scratch, 0));
	scratch_release(&scratch);
}
END_TEST

START_TEST(missing_file_is_a_first_start)
{
	struct scratch scratch;
	struct picture picture;

	scratch_init(&scratch);
	checkpoint_db_close(start(scratch.path, &picture, NULL));
	ck_assert(!picture.any_output);
	scratch_release(&scratch);
}
END_TEST

START_TEST(log_without_its_file_is_damage)
{
	struct scratch scratch;

	scratch_init(&scratch);
	scratch_append(&scratch, "checkpoint.db-wal", "not even a log");
	ck_assert(assert_starts(&scratch, 0));
	scratch_release(&scratch);
}
END_TEST

START_TEST(file_without_content_is_damage)
{
	static const size_t sizes[] = {0, 1, 15, 16, 100, 511, 512, 4095, 4096, 8192, 40000};
	static const unsigned char fills[] = {0x00, 0xff, 'S'};
	struct scratch scratch;
	char *bytes = xmalloc(40000);

	scratch_init(&scratch);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (size_t j = 0; j < sizeof fills; j++) {
			memset(bytes, fills[j], sizes[i]);
			write_all(&scratch, "checkpoint.db", bytes, sizes[i]);
			ck_assert(assert_starts(&scratch, 0));
			empty_dir(&scratch);
		}
	}
	free(bytes);
	scratch_release(&scratch);
}
END_TEST

START_TEST(random_content_is_damage_with_or_without_a_true_head)
{
	struct scratch scratch;
	char bytes[20000];
	struct buf good;

	scratch_init(&scratch);
	make(scratch.path, 1);
	read_all(&scratch, "checkpoint.db", &good);
	srandom(7);
	for (int i = 0; i < 40; i++) {
		size_t head = i % 2 == 0 ? 0 : 100;

		for (size_t j = 0; j < sizeof bytes; j++)
			bytes[j] = (char)random();
		memcpy(bytes, good.data, head);
		empty_dir(&scratch);
		write_all(&scratch, "checkpoint.db", bytes, sizeof bytes);
		write_all(
		    &scratch, i % 4 < 2 ? "checkpoint.db-wal" : "checkpoint.db-shm", bytes, sizeof bytes);
		ck_assert(assert_starts(&scratch, 0));
	}
	buf_release(&good);
	scratch_release(&scratch);
}
END_TEST

START_TEST(file_cut_anywhere_starts)
{
	struct scratch scratch;
	struct buf good;

	scratch_init(&scratch);
	make(scratch.path, 3);
	read_all(&scratch, "checkpoint.db", &good);
	ck_assert_int_gt(good.len, 4096 * 4);
	for (size_t len = 0; len < good.len; len += len % 4096 == 4095 ? 1 : 4095) {
		empty_dir(&scratch);
		write_all(&scratch, "checkpoint.db", good.data, len);
		ck_assert_int_eq(
		    assert_starts(&scratch, 2), len + 1 < good.len); /* its last byte alone may be a zero */
	}
	buf_release(&good);
	scratch_release(&scratch);
}
END_TEST

START_TEST(any_flipped_bit_starts_and_nothing_is_skipped)
{
	size_t step = getenv("DRAVE_TEST_LONG") != NULL ? 1 : 331;
	struct scratch scratch;
	unsigned damaged = 0, found = 0, fitting = 0;
	struct buf good;

	scratch_init(&scratch);
	make(scratch.path, 3);
	read_all(&scratch, "checkpoint.db", &good);
	for (size_t bit = 0; bit < good.len * 8; bit += bit < 800 && step > 1 ? 3 : step) {
		struct picture picture;
		struct checkpoint_db *db = NULL;
		struct err err;
		int status;

		if (bit / 8 == 63) /* the version's last byte: then it is a newer one */
			continue;
		empty_dir(&scratch);
		good.data[bit / 8] ^= (char)(1 << bit % 8);
		write_all(&scratch, "checkpoint.db", good.data, good.len);
		good.data[bit / 8] ^= (char)(1 << bit % 8);
		status = open_db(&db, scratch.path, &picture, &err);
		ck_assert_msg(
		    status == 0 || status == -EUCLEAN || status == -EIO, "bit %zu: %s", bit, err.text);
		ck_assert_int_le(picture.highest_round, 2);
		damaged += status != 0;
		found += status == 0 && picture.wrong > 0;
		fitting += status == 0 && picture.wrong == 0;
		ck_assert(status != 0 || picture.knows_main);
		checkpoint_db_close(db);
	}
	ck_assert_int_gt(damaged, 0);
	ck_assert_int_gt(found, 0);
	ck_assert_int_gt(fitting, 0);
	buf_release(&good);
	scratch_release(&scratch);
}
END_TEST

/* A database whose last rounds are in the log only, as after kill -9. */
static void make_with_log(const struct scratch *scratch, struct buf *db_bytes, struct buf *wal_bytes)
{
	struct picture picture;
	struct checkpoint_db *db;

	make(scratch->path, 2);
	db = start(scratch->path, &picture, NULL);
	for (unsigned round = 2; round < 6; round++)
		ck_assert_int_eq(write_round(db, round, false), 0);
	read_all(scratch, "checkpoint.db", db_bytes);
	read_all(scratch, "checkpoint.db-wal", wal_bytes);
	checkpoint_db_close(db);
}

START_TEST(damaged_log_gives_an_older_state)
{
	struct scratch scratch;
	struct buf db_bytes, wal_bytes;

	scratch_init(&scratch);
	make_with_log(&scratch, &db_bytes, &wal_bytes);
	for (int kind = 0; kind < 3; kind++) {
		for (size_t at = 0; at < wal_bytes.len; at += 1021) {
			size_t len = kind == 0 ? at : wal_bytes.len;
			char *bytes = xmalloc(wal_bytes.len);

			memcpy(bytes, wal_bytes.data, wal_bytes.len);
			if (kind == 1)
				bytes[at] ^= 0x10;
			if (kind == 2)
				memset(bytes + at, 0, wal_bytes.len - at);
			empty_dir(&scratch);
			write_all(&scratch, "checkpoint.db", db_bytes.data, db_bytes.len);
			write_all(&scratch, "checkpoint.db-wal", bytes, len);
			free(bytes);
			assert_starts(&scratch, 5);
		}
	}
	buf_release(&db_bytes);
	buf_release(&wal_bytes);
	scratch_release(&scratch);
}
END_TEST

START_TEST(other_tables_are_damage)
{
	static const char *const layouts[] = {
	    "",
	    "CREATE TABLE mark (a)",
	    "CREATE TABLE segment (id INTEGER PRIMARY KEY); CREATE TABLE mark (output, segment); CREATE "
	    "TABLE output (name)",
	    "CREATE VIEW mark AS SELECT 1",
	    "DROP TABLE output",
	    "ALTER TABLE mark DROP COLUMN tail_hash",
	    "UPDATE mark SET \"offset\" = -1",
	    "UPDATE mark SET tail_len = 257",
	    "UPDATE mark SET size = -1",
	    "UPDATE segment SET head_len = -1",
	    "UPDATE segment SET id = -id WHERE id = 1",
	    "UPDATE segment SET seen_at = 9223372036854775807",
	    "UPDATE segment SET path = 'a' || char(0) || 'b'",
	    "UPDATE output SET seen_at = -9223372036854775808",
	};
	struct scratch scratch;

	scratch_init(&scratch);
	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
		sqlite3 *handle;

		empty_dir(&scratch);
		if (i >= 4) /* changes of a true one */
			make(scratch.path, 1);
		ck_assert_int_eq(sqlite3_open(scratch_path(&scratch, "checkpoint.db"), &handle), SQLITE_OK);
		ck_assert_msg(sqlite3_exec(handle, layouts[i], NULL, NULL, NULL) == SQLITE_OK, "%s: %s",
		    layouts[i], sqlite3_errmsg(handle));
		ck_assert_int_eq(
		    sqlite3_exec(handle, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
		ck_assert_int_eq(sqlite3_close(handle), SQLITE_OK);
		ck_assert_msg(assert_starts(&scratch, 0), "%s", layouts[i]);
	}
	scratch_release(&scratch);
}
END_TEST

START_TEST(layout_without_sizes_gets_them)
{
	struct scratch scratch;
	sqlite3 *handle;

	scratch_init(&scratch);
	make(scratch.path, 3);
	for (int opening = 0; opening < 3; opening++) {
		struct picture picture = {0};
		struct err err;
		struct checkpoint_db *db;

		if (opening == 0) {
			ck_assert_int_eq(
			    sqlite3_open(scratch_path(&scratch, "checkpoint.db"), &handle), SQLITE_OK);
			ck_assert_int_eq(
			    sqlite3_exec(handle, "ALTER TABLE mark DROP COLUMN size", NULL, NULL, NULL),
			    SQLITE_OK);
			ck_assert_int_eq(sqlite3_close(handle), SQLITE_OK);
		}
		ck_assert_int_eq(open_db(&db, scratch.path, &picture, &err), 0);
		ck_assert_uint_eq(picture.last_mark.value.size, 0);
		checkpoint_db_close(db);
	}
	scratch_release(&scratch);
}
END_TEST

static unsigned count_names(const struct scratch *scratch, const char *part)
{
	DIR *dir = opendir(scratch->path);
	struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(dir)) != NULL)
		count += strstr(entry->d_name, part) != NULL;
	closedir(dir);
	return count;
}

START_TEST(three_copies_are_kept)
{
	struct scratch scratch;

	scratch_init(&scratch);
	for (int i = 0; i < 6; i++) {
		write_all(&scratch, "checkpoint.db", "x", 1);
		ck_assert(assert_starts(&scratch, 0));
		ck_assert_int_eq(count_names(&scratch, ".damaged-"), i < 3 ? i + 1 : 3);
		ck_assert_int_eq(count_names(&scratch, ".new"), 0);
	}
	scratch_release(&scratch);
}
END_TEST

START_TEST(file_that_moved_is_noticed_by_a_full_write)
{
	struct scratch scratch;
	struct picture picture;
	struct checkpoint_db *db;

	scratch_init(&scratch);
	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(write_round(db, 0, true), 0);
	scratch_rename(&scratch, "checkpoint.db", "away.db");
	ck_assert_int_eq(write_round(db, 1, true), -ESTALE);
	checkpoint_db_close(db);
	scratch_release(&scratch);
}
END_TEST

START_TEST(person_who_looks_does_not_stop_it_and_one_who_writes_does_for_a_while)
{
	struct scratch scratch;
	struct picture picture;
	struct checkpoint_db *db;
	sqlite3 *person;

	scratch_init(&scratch);
	db = start(scratch.path, &picture, NULL);
	ck_assert_int_eq(write_round(db, 0, false), 0);
	ck_assert_int_eq(sqlite3_open(scratch_path(&scratch, "checkpoint.db"), &person), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(person, "BEGIN; SELECT output, offset, path FROM mark JOIN segment ON id = segment",
		NULL, NULL, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(write_round(db, 1, true), 0);
	ck_assert_int_eq(sqlite3_exec(person, "COMMIT; BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(write_round(db, 2, true), -EBUSY);
	ck_assert_int_eq(sqlite3_exec(person, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(write_round(db, 2, true), 0);
	ck_assert_int_eq(sqlite3_close(person), SQLITE_OK);
	checkpoint_db_close(db);
	scratch_release(&scratch);
}
END_TEST

/* ---- storage that fails ----------------------------------------------------------------------- */

#define ROUNDS 4

/* The whole life of a database: made, written in four rounds (the last one FULL), closed.  *done counts
 * finished rounds. */
static void live(const char *dir, volatile unsigned *done)
{
	struct checkpoint_db *db = NULL;
	struct picture picture;
	struct err err;

	if (open_db(&db, dir, &picture, &err) != 0)
		return;
	for (unsigned round = 0; round < ROUNDS; round++)
		if (write_round(db, round, round == ROUNDS - 1) == 0)
			*done = round + 1;
	checkpoint_db_close(db);
}

START_TEST(death_between_any_two_calls_leaves_what_was_finished)
{
	volatile unsigned *done =
	    mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct scratch scratch;
	unsigned deaths = 0;
	int status;

	scratch_init(&scratch);
	do {
		struct picture picture;
		bool was_damaged;
		pid_t child;

		empty_dir(&scratch);
		*done = 0;
		child = fork();
		if (child == 0) {
			shaky_install();
			shaky_kill_at(deaths + 1);
			live(scratch.path, done);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		checkpoint_db_close(start(scratch.path, &picture, &was_damaged));
		ck_assert(!was_damaged);
		ck_assert_int_eq(picture.wrong, 0);
		ck_assert_int_eq(picture.lowest_round, picture.highest_round);
		ck_assert(picture.marks == 0 || picture.marks == SEGMENTS);
		ck_assert_int_ge(picture.marks == 0 ? 0 : picture.highest_round + 1, *done);
		ck_assert_int_le(picture.marks == 0 ? 0 : picture.highest_round + 1, *done + 1);
		deaths++;
	} while (WIFSIGNALED(status));
	ck_assert_int_gt(deaths, 30);
	ck_assert_int_eq(munmap((void *)(uintptr_t)done, sizeof *done), 0);
	scratch_release(&scratch);
}
END_TEST

START_TEST(any_call_that_fails_is_told_and_leaves_what_was_finished)
{
	static const int answers[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC};
	struct scratch scratch;

	scratch_init(&scratch);
	shaky_install();
	for (unsigned kind = 0; kind < 6; kind++) {
		unsigned calls = 0;

		for (unsigned at = 1; at == 1 || at <= calls; at++) {
			struct picture picture;
			unsigned done = 0;

			empty_dir(&scratch);
			shaky_fail_at(at, kind % 2 == 1, answers[kind / 2]);
			live(scratch.path, &done);
			calls = shaky.done;
			shaky_calm();
			checkpoint_db_close(start(scratch.path, &picture, NULL));
			ck_assert_int_eq(picture.wrong, 0);
			ck_assert_int_ge(picture.marks == 0 ? 0 : picture.highest_round + 1, done);
		}
	}
	shaky_calm();
	scratch_release(&scratch);
}
END_TEST

START_TEST(full_write_survives_a_power_cut_and_others_may_not)
{
	struct scratch scratch, cut;
	struct checkpoint_db *db;
	struct picture picture;

	scratch_init(&scratch);
	scratch_init(&cut);
	shaky_install();
	shaky.durable = cut.path;
	db = start(scratch.path, &picture, NULL);
	scratch_append(&cut, "checkpoint.db", "");
	for (unsigned round = 0; round < 20; round++) {
		struct checkpoint_db *after;
		char *command;

		ck_assert_int_eq(write_round(db, round, round % 3 == 0), 0);
		shaky.durable = NULL;
		if (access(scratch_path(&cut, "checkpoint.db.new"), F_OK) == 0)
			scratch_rename(&cut, "checkpoint.db.new", "checkpoint.db");
		scratch_dir(&scratch, "after");
		command = xasprintf("cp %s/checkpoint.db* %s/after/", cut.path, scratch.path);
		ck_assert_int_eq(system(command), 0);
		free(command);
		after = start(scratch_path(&scratch, "after"), &picture, NULL);
		ck_assert_int_eq(picture.highest_round, round - round % 3);
		checkpoint_db_close(after);
		scratch_remove(&scratch, "after");
		shaky.durable = cut.path;
	}
	shaky_calm();
	checkpoint_db_close(db);
	scratch_release(&scratch);
	scratch_release(&cut);
}
END_TEST

/* ---- a disk without room ---------------------------------------------------------------------- */

/* Appends until nothing fits any more. */
static void fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char block[4096] = {0};

	while (file_write_all(fd, block, sizeof block) > 0)
		;
	ck_assert_int_eq(close(fd), 0);
}

/* In a child: a mount of its own, or where that is not permitted a limit of the size of files. */
static void fill_up_and_free(const char *dir)
{
	struct picture picture;
	struct checkpoint_db *db;
	bool is_mounted = unshare(CLONE_NEWNS) == 0 &&
			  mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
			  mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=700") == 0;
	struct rlimit limit = {.rlim_cur = 40000, .rlim_max = RLIM_INFINITY};
	char *ballast = xasprintf("%s/ballast", dir);
	int status = 0;

	db = start(dir, &picture, NULL);
	ck_assert_int_eq(write_round(db, 0, true), 0);
	if (is_mounted)
		fill(ballast);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert(is_mounted || setrlimit(RLIMIT_FSIZE, &limit) == 0);
	for (unsigned round = 1; round < 50 && status == 0; round++)
		status = write_round(db, round, true);
	ck_assert_int_eq(status, is_mounted ? -ENOSPC : -EIO); /* SQLite knows EFBIG as a failed write only */
	checkpoint_db_close(db);
	if (is_mounted)
		fill(ballast); /* what closing made free */
	db = start(dir, &picture, NULL);
	ck_assert_int_eq(picture.marks, SEGMENTS);
	ck_assert(!is_mounted || unlink(ballast) == 0);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(write_round(db, 60, true), 0);
	checkpoint_db_close(db);
	checkpoint_db_close(start(dir, &picture, NULL));
	ck_assert_int_eq(picture.highest_round, 60);
	free(ballast);
}

START_TEST(full_disk_is_told_keeps_what_was_and_heals)
{
	struct scratch scratch;
	int status;
	pid_t child;

	scratch_init(&scratch);
	child = fork();
	if (child == 0) {
		fill_up_and_free(scratch.path);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	scratch_release(&scratch);
}
END_TEST

UNIT_MAIN("checkpoint_db", what_was_written_comes_back, deleted_rows_go_with_their_marks,
    files_are_for_us_alone, link_in_place_of_the_file_is_refused_and_one_above_is_not,
    newer_layout_is_refused_and_left_alone, missing_file_is_a_first_start, log_without_its_file_is_damage,
    file_without_content_is_damage, random_content_is_damage_with_or_without_a_true_head,
    file_cut_anywhere_starts, any_flipped_bit_starts_and_nothing_is_skipped, damaged_log_gives_an_older_state,
    other_tables_are_damage, layout_without_sizes_gets_them, three_copies_are_kept,
    file_that_moved_is_noticed_by_a_full_write,
    person_who_looks_does_not_stop_it_and_one_who_writes_does_for_a_while,
    death_between_any_two_calls_leaves_what_was_finished,
    any_call_that_fails_is_told_and_leaves_what_was_finished,
    full_write_survives_a_power_cut_and_others_may_not, full_disk_is_told_keeps_what_was_and_heals)
