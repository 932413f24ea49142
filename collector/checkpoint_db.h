/* The checkpoint's database file: opened, checked, read whole, written one transaction at a time.  The door
 * of SQLite.
 *
 * Everything is synchronous.  A checkpoint_db is used by one thread at a time, which need not be the same
 * one.  It never logs.
 *
 * Errors, besides the sentence in err:
 *   -EUCLEAN          the content is damaged: set it aside and open anew
 *   -EIO, -ESTALE     what was written cannot be trusted, or the file is not where it was: the same
 *   -EPROTONOSUPPORT  a newer version wrote it: hands off
 *   -ENOSPC, -EBUSY   no room, or a person's sqlite3 has it locked: the same again later
 *   others            the directory cannot be used (rights, read-only) */
#ifndef DRAVE_COLLECTOR_CHECKPOINT_DB_H
#define DRAVE_COLLECTOR_CHECKPOINT_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/aside.h"
#include "collector/db_change.h"
#include "common/err.h"

/* In table output: stands for any output that may have had rows before a damaged database was set aside. */
#define CHECKPOINT_ANY_OUTPUT "*"

struct checkpoint_db;

/* Takes the rows at opening: all segments, then all marks, then all outputs; texts are borrowed during the
 * call.  false: such a row cannot be, the database is damaged. */
struct db_reader {
	bool (*segment)(void *arg, const struct db_segment *row);
	bool (*mark)(void *arg, const struct db_mark *row);
	bool (*output)(void *arg, const struct db_output *row);
	void *arg;
};

/* Opens state_dir/checkpoint.db, or makes it, and reads it through reader. */
int checkpoint_db_open(
    struct checkpoint_db **ret_db, const char *state_dir, const struct db_reader *reader, struct err *err);
/* All of change or nothing, deletions first.  is_full: it survives a power cut, and with it everything
 * written before; but a change without a row syncs nothing. */
int checkpoint_db_write(
    struct checkpoint_db *db, const struct db_change *change, bool is_full, struct err *err);
/* Folds the log into the file and closes.  NULL is fine. */
void checkpoint_db_close(struct checkpoint_db *db);

/* The closed database goes where collector/aside.h says. */
int checkpoint_db_set_aside(const char *state_dir, char ret_name[ASIDE_NAME_BYTES], struct err *err);

const char *checkpoint_db_library(void);

#endif
