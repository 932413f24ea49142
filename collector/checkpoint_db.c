/* The checkpoint's database file.
 *
 *   state_dir/checkpoint.db, SQLite 3, journal in WAL mode, user_version 1; to look:
 *     sqlite3 -column checkpoint.db 'SELECT output, offset, path FROM mark JOIN segment ON id = segment'
 *
 *   segment             one row a log file that is or was followed
 *     id                number of the file, never 0
 *     stream            "<pod uid>/<container>/<restart>"
 *     dev, ino, generation, birth
 *                       of the file at the last look; birth in ns since 1970, 0 = unknown
 *     first_line_hash   XXH3-64 of the first line (0 = not yet whole): part of record ids
 *     head_len, head_hash
 *                       XXH3-64 of the first head_len bytes, at most 256: the file is known by them
 *     path              for people
 *     seen_at           when the file was last seen, ns since 1970, to the hour
 *   mark                how far an output got in a file
 *     output, segment   key
 *     offset            everything before it is acknowledged; the start of a record
 *     tail_len, tail_hash
 *                       XXH3-64 of the tail_len bytes before offset, at most 256: the mark counts
 *                       only where these are found
 *     size              of the file at that time, 0 = unknown; layouts without it get it at the opening
 *   output              one row an output that is or was configured
 *     name              "*" = any: a damaged database was set aside, so no output is new
 *     seen_at           when it was last configured, ns since 1970, to the hour
 *
 * 64-bit numbers without sign are stored as the signed number with the same bits.
 *
 * Owns the connection and its statements.  Refuses to guess: a row that cannot be, an unknown layout, an
 * empty file all count as damage; what to do then is decided above.  A new database is made under another
 * name and renamed when it is complete, so a file that is not complete was damaged, never half made.
 *
 * The content is checked in full at each start (quick_check, and every row is read anyway): it has a few rows
 * a log file, 8 ms for 5,000 of them, and what is found then need not be found in the middle of the night.  A
 * flipped bit inside a number is not found by that; it makes a mark whose tail does not fit its file, which
 * is then read from its head. */
#include "config.h"
#include "collector/checkpoint_db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "collector/aside.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/must.h"

#define DB_NAME         "checkpoint.db"
#define NEW_NAME        DB_NAME ".new"
#define BUSY_MS         1000
#define SCHEMA_VERSION  1
#define VERSION_MAX     255 /* what is beyond was not written by any version */
#define FINGERPRINT_MAX 256

#define INTEGER     " INTEGER NOT NULL"
#define TEXT        " TEXT NOT NULL"
#define SIZE_COLUMN "size INTEGER NOT NULL DEFAULT 0"

static const char schema[] =
    "CREATE TABLE segment (id INTEGER PRIMARY KEY, stream" TEXT ", dev" INTEGER ", ino" INTEGER
    ", generation" INTEGER ", birth" INTEGER ", first_line_hash" INTEGER ", head_len" INTEGER
    ", head_hash" INTEGER ", path" TEXT ", seen_at" INTEGER ") STRICT;"
    "CREATE TABLE mark (output" TEXT ", segment" INTEGER ", \"offset\"" INTEGER ", tail_len" INTEGER
    ", tail_hash" INTEGER ", " SIZE_COLUMN ", PRIMARY KEY (segment, output)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE output (name TEXT NOT NULL PRIMARY KEY, seen_at" INTEGER ") STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

/* wal_autocheckpoint in pages of 4 KiB: the log stays near 1 MiB, and is cut back to that if a reader made it
 * longer. */
static const char settings[] =
    "PRAGMA cache_size = -256; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
    "PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 1048576;";

enum statement {
	PUT_SEGMENT,
	PUT_MARK,
	PUT_OUTPUT,
	DELETE_SEGMENT,
	DELETE_SEGMENT_MARKS,
	DELETE_OUTPUT,
	DELETE_OUTPUT_MARKS,
	STATEMENT_COUNT
};

static const char *const statement_texts[STATEMENT_COUNT] = {
    [PUT_SEGMENT] = "INSERT INTO segment (id, stream, dev, ino, generation, birth, first_line_hash,"
		    " head_len, head_hash, path, seen_at)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
		    " ON CONFLICT (id) DO UPDATE SET stream = ?2, dev = ?3, ino = ?4, generation = ?5,"
		    " birth = ?6, first_line_hash = ?7, head_len = ?8, head_hash = ?9, path = ?10,"
		    " seen_at = ?11",
    [PUT_MARK] = ("INSERT INTO mark (output, segment, \"offset\", tail_len, tail_hash, size) VALUES (?1, ?2, "
		  "?3, ?4, ?5, ?6)"
		  " ON CONFLICT (segment, output)"
		  " DO UPDATE SET \"offset\" = ?3, tail_len = ?4, tail_hash = ?5, size = ?6"),
    [PUT_OUTPUT] =
	"INSERT INTO output (name, seen_at) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seen_at = ?2",
    [DELETE_SEGMENT] = "DELETE FROM segment WHERE id = ?1",
    [DELETE_SEGMENT_MARKS] = "DELETE FROM mark WHERE segment = ?1",
    [DELETE_OUTPUT] = "DELETE FROM output WHERE name = ?1",
    [DELETE_OUTPUT_MARKS] = "DELETE FROM mark WHERE output = ?1",
};

struct checkpoint_db {
	sqlite3 *handle;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	bool is_full; /* PRAGMA synchronous as it stands */
};

/* ---- SQLite's answers ------------------------------------------------------------------------- */

static int no_room_or(sqlite3 *handle, int otherwise)
{
	int number = sqlite3_system_errno(handle);

	return number == ENOSPC || number == EDQUOT || number == EFBIG ? -ENOSPC : otherwise;
}

/* What is not named is CORRUPT, NOTADB, or ERROR, CONSTRAINT and the like, which a sound database never
 * gives. */
static int errno_of(sqlite3 *handle, int answer)
{
	switch (answer & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return 0;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return -EBUSY;
	case SQLITE_IOERR: return no_room_or(handle, -EIO);
	case SQLITE_CANTOPEN: return no_room_or(handle, answer == SQLITE_CANTOPEN_SYMLINK ? -ELOOP : -EACCES);
	case SQLITE_PERM:
	case SQLITE_AUTH: return -EACCES;
	case SQLITE_READONLY: return -EROFS;
	case SQLITE_NOMEM: return -ENOMEM;
	default: return -EUCLEAN;
	}
}

static int tell(sqlite3 *handle, int answer, const char *doing, struct err *err)
{
	int status = errno_of(handle, answer);

	if (status == 0)
		return 0;
	return err_set(err, status, "cannot %s the checkpoint: %s", doing, sqlite3_errmsg(handle));
}

static int run(sqlite3 *handle, const char *text, const char *doing, struct err *err)
{
	return tell(handle, sqlite3_exec(handle, text, NULL, NULL, NULL), doing, err);
}

/* ---- files ------------------------------------------------------------------------------------ */

/* An open directory.  The path without links goes to ret_path, because SQLite refuses links anywhere in a
 * name that it shall not follow. */
static int open_dir(const char *state_dir, int *ret_fd, char ret_path[PATH_MAX], struct err *err)
{
	int fd;

	if (realpath(state_dir, ret_path) == NULL)
		return err_set(
		    err, -errno, "cannot open state directory '%s': %s", state_dir, strerror(errno));
	fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_set(
		    err, -errno, "cannot open state directory '%s': %s", state_dir, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int sync_dir(int dir_fd, struct err *err)
{
	if (fsync(dir_fd) == -1)
		return err_set(err, -errno, "cannot sync the state directory: %s", strerror(errno));
	return 0;
}

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int checkpoint_db_set_aside(const char *state_dir, char ret_name[ASIDE_NAME_BYTES], struct err *err)
{
	char path[PATH_MAX];
	int dir_fd = -1, status = open_dir(state_dir, &dir_fd, path, err);

	if (status != 0)
		return status;
	status = aside_move(dir_fd, DB_NAME, ret_name);
	(void)close(dir_fd); /* read only */
	if (status == 0)
		return 0;
	return err_set(err, status, "cannot move '%s/%s' aside: %s", path, DB_NAME, strerror(-status));
}

/* ---- making a new one ------------------------------------------------------------------------- */

static int open_handle(const char *path, sqlite3 **ret_handle, struct err *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
		    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
	sqlite3 *handle = NULL;
	int answer = sqlite3_open_v2(path, &handle, flags, NULL);
	int status;

	must(handle != NULL); /* else no memory */
	status = tell(handle, answer, "open", err);
	if (status != 0) {
		(void)sqlite3_close(handle); /* nothing is open on it */
		return status;
	}
	(void)sqlite3_busy_timeout(handle, BUSY_MS);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	*ret_handle = handle;
	return 0;
}

/* Tables and the version in one synced transaction. */
static int fill_new(sqlite3 *handle, bool any_output, struct err *err)
{
	static const char any_row[] = "INSERT INTO output VALUES ('" CHECKPOINT_ANY_OUTPUT "', %" PRId64 ");";
	char *any = any_output ? xasprintf(any_row, clock_wall_ns()) : xstrdup("");
	char *text = xasprintf(
	    "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL; BEGIN; %s %s COMMIT;", schema, any);
	int status = run(handle, text, "make", err);

	free(text);
	free(any);
	return status;
}

static int make_new(int dir_fd, const char *dir_path, struct err *err)
{
	char *path = xasprintf("%s/%s", dir_path, NEW_NAME);
	sqlite3 *handle = NULL;
	int fd, status;

	if (unlinkat(dir_fd, NEW_NAME, 0) == -1 && errno != ENOENT) {
		status = err_set(err, -errno, "cannot remove '%s': %s", path, strerror(errno));
		goto out;
	}
	/* SQLite gives the same mode to its -wal and -shm. */
	fd = openat(dir_fd, NEW_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		status = err_set(err, -errno, "cannot make '%s': %s", path, strerror(errno));
		goto out;
	}
	(void)close(fd); /* empty */
	status = open_handle(path, &handle, err);
	if (status == 0)
		status = fill_new(handle, aside_has_copy(dir_fd, DB_NAME), err);
	if (status == 0 && FAULT("checkpoint.made"))
		status = err_set(err, -ENOSPC, "cannot make the checkpoint: fault");
	(void)sqlite3_close(handle); /* nothing is open on it */
	if (status == 0 && renameat(dir_fd, NEW_NAME, dir_fd, DB_NAME) == -1)
		status = err_set(err, -errno, "cannot rename '%s': %s", path, strerror(errno));
	if (status == 0)
		status = sync_dir(dir_fd, err);
out:
	free(path);
	return status;
}

/* Is there a file, and one that may be opened?  Without it, a log that it left behind is damage: rows were
 * lost. */
static int look_at_files(int dir_fd, bool *ret_is_there, struct err *err)
{
	struct stat st;

	if (fstatat(dir_fd, DB_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		*ret_is_there = true;
		if (S_ISREG(st.st_mode))
			return 0;
		return err_set(err, -EINVAL, "cannot open the checkpoint: '%s' is no regular file", DB_NAME);
	}
	if (errno != ENOENT)
		return err_set(err, -errno, "cannot open the checkpoint: %s", strerror(errno));
	*ret_is_there = false;
	if (exists(dir_fd, DB_NAME "-wal"))
		return err_set(err, -EUCLEAN, "cannot open the checkpoint: only its log is there");
	return 0;
}

/* ---- checking and reading --------------------------------------------------------------------- */

static bool is_text_without_nul(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text != NULL && strlen(text) == (size_t)sqlite3_column_bytes(statement, column);
}

static bool take_number(void *arg, sqlite3_stmt *statement)
{
	int64_t *number = arg;

	*number = sqlite3_column_int64(statement, 0);
	return true;
}

static bool take_check(void *arg, sqlite3_stmt *statement)
{
	const char *text = (const char *)sqlite3_column_text(statement, 0);

	(void)arg;
	return text != NULL && strcmp(text, "ok") == 0;
}

static bool take_journal_mode(void *arg, sqlite3_stmt *statement)
{
	const char *text = (const char *)sqlite3_column_text(statement, 0);
	bool *is_wal = arg;

	*is_wal = text != NULL && strcmp(text, "wal") == 0;
	return true;
}

/* Far enough from the ends for sums of two. */
static int64_t time_of(sqlite3_stmt *statement, int column, bool *valid)
{
	int64_t time_ns = sqlite3_column_int64(statement, column);

	*valid = *valid && time_ns >= 0 && time_ns <= INT64_MAX / 2;
	return time_ns;
}

static uint32_t fingerprint_len(sqlite3_stmt *statement, int column, bool *valid)
{
	int64_t len = sqlite3_column_int64(statement, column);

	*valid = *valid && len >= 0 && len <= FINGERPRINT_MAX;
	return (uint32_t)len;
}

static bool take_segment(void *arg, sqlite3_stmt *statement)
{
	const struct db_reader *reader = arg;
	bool valid = is_text_without_nul(statement, 1) && is_text_without_nul(statement, 9) &&
		     sqlite3_column_int64(statement, 0) > 0;
	struct db_segment row = {
	    .id = sqlite3_column_int64(statement, 0),
	    .key =
		{
		    .stream = (const char *)sqlite3_column_text(statement, 1),
		    .dev = (uint64_t)sqlite3_column_int64(statement, 2),
		    .ino = (uint64_t)sqlite3_column_int64(statement, 3),
		    .generation = (uint64_t)sqlite3_column_int64(statement, 4),
		    .birth_ns = sqlite3_column_int64(statement, 5),
		    .first_line_hash = (uint64_t)sqlite3_column_int64(statement, 6),
		    .head_len = fingerprint_len(statement, 7, &valid),
		    .head_hash = (uint64_t)sqlite3_column_int64(statement, 8),
		    .path = (const char *)sqlite3_column_text(statement, 9),
		},
	    .seen_at_ns = time_of(statement, 10, &valid),
	};

	return valid && reader->segment(reader->arg, &row);
}

static bool take_mark(void *arg, sqlite3_stmt *statement)
{
	const struct db_reader *reader = arg;
	bool valid = is_text_without_nul(statement, 0) && sqlite3_column_int64(statement, 2) >= 0 &&
		     sqlite3_column_int64(statement, 5) >= 0;
	struct db_mark row = {
	    .output = (const char *)sqlite3_column_text(statement, 0),
	    .segment = sqlite3_column_int64(statement, 1),
	    .value =
		{
		    .offset = (uint64_t)sqlite3_column_int64(statement, 2),
		    .tail_len = fingerprint_len(statement, 3, &valid),
		    .tail_hash = (uint64_t)sqlite3_column_int64(statement, 4),
		    .size = (uint64_t)sqlite3_column_int64(statement, 5),
		},
	};

	return valid && reader->mark(reader->arg, &row);
}

static bool take_output(void *arg, sqlite3_stmt *statement)
{
	const struct db_reader *reader = arg;
	bool valid = is_text_without_nul(statement, 0);
	struct db_output row = {
	    .name = (const char *)sqlite3_column_text(statement, 0),
	    .seen_at_ns = time_of(statement, 1, &valid),
	};

	return valid && reader->output(reader->arg, &row);
}

/* Each row of a query to take; false from it means damage. */
static int query(sqlite3 *handle, const char *text, bool (*take)(void *arg, sqlite3_stmt *statement),
    void *arg, struct err *err)
{
	sqlite3_stmt *statement = NULL;
	int answer = sqlite3_prepare_v2(handle, text, -1, &statement, NULL);
	bool believable = true;
	int status;

	if (answer == SQLITE_OK)
		while (believable && (answer = sqlite3_step(statement)) == SQLITE_ROW)
			believable = take(arg, statement);
	status = tell(handle, answer, "read", err);
	if (!believable)
		status = err_set(err, -EUCLEAN, "cannot read the checkpoint: it is damaged (%s)", text);
	(void)sqlite3_finalize(statement); /* repeats the answer */
	return status;
}

static int check_version(sqlite3 *handle, struct err *err)
{
	int64_t version = 0;
	int status = query(handle, "PRAGMA user_version", take_number, &version, err);

	if (status != 0 || version == SCHEMA_VERSION)
		return status;
	if (version > SCHEMA_VERSION && version <= VERSION_MAX)
		return err_set(err, -EPROTONOSUPPORT,
		    "cannot use the checkpoint: a newer version wrote it (layout %" PRId64
		    ", this one knows %d)",
		    version, SCHEMA_VERSION);
	return err_set(
	    err, -EUCLEAN, "cannot use the checkpoint: it is empty or damaged (layout %" PRId64 ")", version);
}

static int read_rows(sqlite3 *handle, const struct db_reader *reader, struct err *err)
{
	struct db_reader copy = *reader;
	int status = query(handle,
	    "SELECT id, stream, dev, ino, generation, birth, first_line_hash, head_len, head_hash, path, "
	    "seen_at FROM segment ORDER BY id",
	    take_segment, &copy, err);

	if (status == 0)
		status =
		    query(handle, "SELECT output, segment, \"offset\", tail_len, tail_hash, size FROM mark",
			take_mark, &copy, err);
	if (status == 0)
		status = query(handle, "SELECT name, seen_at FROM output", take_output, &copy, err);
	return status;
}

static int prepare(struct checkpoint_db *db, struct err *err)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		int answer = sqlite3_prepare_v3(
		    db->handle, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
		int status = tell(db->handle, answer, "use", err);

		if (status != 0)
			return status;
	}
	return 0;
}

/* Versions that do not know this column neither read nor write it, so the layout's number stays. */
static int add_size(sqlite3 *handle, struct err *err)
{
	int64_t columns = 0;
	int status = query(handle, "SELECT count(*) FROM pragma_table_info('mark') WHERE name = 'size'",
	    take_number, &columns, err);

	if (status == 0 && columns == 0)
		status = run(handle, "ALTER TABLE mark ADD COLUMN " SIZE_COLUMN, "extend", err);
	return status;
}

static int enter_wal_mode(sqlite3 *handle, struct err *err)
{
	bool is_wal = false;
	int status = query(handle, "PRAGMA journal_mode = WAL", take_journal_mode, &is_wal, err);

	if (status == 0 && !is_wal)
		return err_set(err, -ENOTSUP,
		    "cannot use the checkpoint: this file system has no shared memory (is it a network file "
		    "system?)");
	return status;
}

/* The file says so of itself (damage), or we may not write it (rights). */
static int check_writable(const struct checkpoint_db *db, const char *path, struct err *err)
{
	if (sqlite3_db_readonly(db->handle, "main") == 0)
		return 0;
	if (access(path, W_OK) == -1)
		return err_set(err, -errno, "cannot write '%s': %s", path, strerror(errno));
	return err_set(err, -EUCLEAN, "cannot use the checkpoint: it is damaged (its head says read-only)");
}

static int check_and_read(
    struct checkpoint_db *db, const char *path, const struct db_reader *reader, struct err *err)
{
	int status = run(db->handle, settings, "set up", err);

	if (status == 0)
		status = check_version(db->handle, err);
	if (status == 0)
		status = query(db->handle, "PRAGMA quick_check(1)", take_check, NULL, err);
	if (status == 0)
		status = check_writable(db, path, err);
	if (status == 0)
		status = enter_wal_mode(db->handle, err);
	if (status == 0)
		status = add_size(db->handle, err);
	if (status == 0)
		status = prepare(db, err);
	if (status == 0)
		status = read_rows(db->handle, reader, err);
	return status;
}

int checkpoint_db_open(
    struct checkpoint_db **ret_db, const char *state_dir, const struct db_reader *reader, struct err *err)
{
	struct checkpoint_db *db = x_new(db);
	char dir_path[PATH_MAX], *path = NULL;
	int dir_fd = -1, status;
	bool is_there;

	status = open_dir(state_dir, &dir_fd, dir_path, err);
	if (status != 0)
		goto out;
	path = xasprintf("%s/%s", dir_path, DB_NAME);
	status = look_at_files(dir_fd, &is_there, err);
	if (status == 0 && !is_there)
		status = make_new(dir_fd, dir_path, err);
	if (status == 0)
		status = open_handle(path, &db->handle, err);
	if (status == 0)
		status = check_and_read(db, path, reader, err);
	if (status == 0)
		status = run(db->handle, "PRAGMA synchronous = NORMAL", "set up", err);
out:
	free(path);
	if (dir_fd != -1)
		(void)close(dir_fd); /* read only */
	if (status == 0)
		*ret_db = db;
	else
		checkpoint_db_close(db);
	return status;
}

void checkpoint_db_close(struct checkpoint_db *db)
{
	if (db == NULL)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(db->statements[i]); /* repeats an old answer */
	/* What cannot be folded in now stays in the log, which the next opening reads. */
	if (db->handle != NULL)
		(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	must(sqlite3_close(db->handle) == SQLITE_OK);
	free(db);
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* Runs a statement that has its values. */
static int finish(struct checkpoint_db *db, enum statement which, struct err *err)
{
	int answer = sqlite3_step(db->statements[which]);
	int status = tell(db->handle, answer, "write", err);

	(void)sqlite3_reset(db->statements[which]); /* repeats the answer */
	return status;
}

static void bind_number(struct checkpoint_db *db, enum statement which, int place, int64_t number)
{
	must(sqlite3_bind_int64(db->statements[which], place, number) == SQLITE_OK);
}

static void bind_text(struct checkpoint_db *db, enum statement which, int place, const char *text)
{
	must(sqlite3_bind_text(db->statements[which], place, text, -1, SQLITE_STATIC) == SQLITE_OK);
}

static int put_segment(struct checkpoint_db *db, const struct db_segment *row, struct err *err)
{
	const struct segment_key *key = &row->key;
	const int64_t numbers[] = {
	    (int64_t)key->dev,
	    (int64_t)key->ino,
	    (int64_t)key->generation,
	    key->birth_ns,
	    (int64_t)key->first_line_hash,
	    key->head_len,
	    (int64_t)key->head_hash,
	};

	must(row->id > 0 && key->head_len <= FINGERPRINT_MAX);
	bind_number(db, PUT_SEGMENT, 1, row->id);
	bind_text(db, PUT_SEGMENT, 2, key->stream);
	for (int i = 0; i < (int)(sizeof numbers / sizeof numbers[0]); i++)
		bind_number(db, PUT_SEGMENT, 3 + i, numbers[i]);
	bind_text(db, PUT_SEGMENT, 10, key->path);
	bind_number(db, PUT_SEGMENT, 11, row->seen_at_ns);
	return finish(db, PUT_SEGMENT, err);
}

static int put_mark(struct checkpoint_db *db, const struct db_mark *row, struct err *err)
{
	must(row->value.offset <= INT64_MAX && row->value.tail_len <= FINGERPRINT_MAX);
	bind_text(db, PUT_MARK, 1, row->output);
	bind_number(db, PUT_MARK, 2, row->segment);
	bind_number(db, PUT_MARK, 3, (int64_t)row->value.offset);
	bind_number(db, PUT_MARK, 4, row->value.tail_len);
	bind_number(db, PUT_MARK, 5, (int64_t)row->value.tail_hash);
	bind_number(db, PUT_MARK, 6, (int64_t)row->value.size);
	return finish(db, PUT_MARK, err);
}

static int put_output(struct checkpoint_db *db, const struct db_output *row, struct err *err)
{
	bind_text(db, PUT_OUTPUT, 1, row->name);
	bind_number(db, PUT_OUTPUT, 2, row->seen_at_ns);
	return finish(db, PUT_OUTPUT, err);
}

static int delete_segment(struct checkpoint_db *db, int64_t id, struct err *err)
{
	int status;

	bind_number(db, DELETE_SEGMENT_MARKS, 1, id);
	status = finish(db, DELETE_SEGMENT_MARKS, err);
	if (status != 0)
		return status;
	bind_number(db, DELETE_SEGMENT, 1, id);
	return finish(db, DELETE_SEGMENT, err);
}

static int delete_output(struct checkpoint_db *db, const char *name, struct err *err)
{
	int status;

	bind_text(db, DELETE_OUTPUT_MARKS, 1, name);
	status = finish(db, DELETE_OUTPUT_MARKS, err);
	if (status != 0)
		return status;
	bind_text(db, DELETE_OUTPUT, 1, name);
	return finish(db, DELETE_OUTPUT, err);
}

static int fault(struct err *err)
{
	return err_set(err, -ENOSPC, "cannot write the checkpoint: fault");
}

static int write_change(struct checkpoint_db *db, const struct db_change *change, struct err *err)
{
	int status = FAULT("checkpoint.delete") ? fault(err) : 0;

	for (size_t i = 0; i < change->gone_output_count && status == 0; i++)
		status = delete_output(db, change->gone_outputs[i], err);
	for (size_t i = 0; i < change->gone_segment_count && status == 0; i++)
		status = delete_segment(db, change->gone_segments[i], err);
	for (size_t i = 0; i < change->segment_count && status == 0; i++)
		status =
		    FAULT("checkpoint.segment") ? fault(err) : put_segment(db, &change->segments[i], err);
	for (size_t i = 0; i < change->mark_count && status == 0; i++)
		status = FAULT("checkpoint.mark") ? fault(err) : put_mark(db, &change->marks[i], err);
	for (size_t i = 0; i < change->output_count && status == 0; i++)
		status = FAULT("checkpoint.output") ? fault(err) : put_output(db, &change->outputs[i], err);
	return status;
}

static int set_full(struct checkpoint_db *db, bool is_full, struct err *err)
{
	int status = 0;

	if (db->is_full != is_full)
		status = run(db->handle,
		    is_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "set up", err);
	if (status == 0)
		db->is_full = is_full;
	return status;
}

/* Is the file that is written still the one that the next start will open? */
static int check_place(struct checkpoint_db *db, struct err *err)
{
	int has_moved = 0;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK &&
	    has_moved != 0)
		return err_set(err, -ESTALE, "cannot write the checkpoint: its file was moved or deleted");
	return 0;
}

int checkpoint_db_write(
    struct checkpoint_db *db, const struct db_change *change, bool is_full, struct err *err)
{
	int status = is_full ? check_place(db, err) : 0;

	if (status == 0)
		status = set_full(db, is_full, err);
	if (status == 0)
		status =
		    FAULT("checkpoint.begin") ? fault(err) : run(db->handle, "BEGIN IMMEDIATE", "write", err);
	if (status != 0)
		return status;
	status = write_change(db, change, err);
	if (status == 0)
		status = FAULT("checkpoint.commit") ? err_set(err, -EIO, "cannot write the checkpoint: fault")
						    : run(db->handle, "COMMIT", "write", err);
	if (sqlite3_get_autocommit(db->handle) == 0)
		(void)sqlite3_exec(
		    db->handle, "ROLLBACK", NULL, NULL, NULL); /* what went wrong is known already */
	(void)FAULT("checkpoint.committed");                   /* a place to die */
	return status;
}

const char *checkpoint_db_library(void)
{
	static char text[32];

	snprintf(text, sizeof text, "SQLite %s", sqlite3_libversion());
	return text;
}
