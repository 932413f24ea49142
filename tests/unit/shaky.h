/* Storage that fails on demand: a layer between SQLite and the system, for tests of the checkpoint.
 *
 * Writes, syncs, truncations, deletions and openings are counted.  At a chosen one the process dies or the
 * call fails, once or from then on.  And at each sync the file is copied to a second directory, where a test
 * finds what a power cut would have left if nothing but synced bytes survived. */
#ifndef DRAVE_TESTS_SHAKY_H
#define DRAVE_TESTS_SHAKY_H

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

static struct {
	sqlite3_vfs *real;
	unsigned done;      /* calls so far */
	unsigned strike_at; /* 0: never */
	bool and_later;
	bool kill;
	int answer;          /* of a call that fails */
	const char *durable; /* directory of the synced copies; NULL: none */
} shaky;

struct shaky_file {
	sqlite3_file base;
	char *path;
	sqlite3_file *real; /* behind this */
};

static int shaky_call(void)
{
	shaky.done++;
	if (shaky.strike_at == 0 || shaky.done < shaky.strike_at ||
	    (shaky.done > shaky.strike_at && !shaky.and_later))
		return SQLITE_OK;
	if (shaky.kill)
		raise(SIGKILL);
	return shaky.answer;
}

#define SHAKY_REAL(file) (((struct shaky_file *)(file))->real)

static int shaky_close(sqlite3_file *file)
{
	free(((struct shaky_file *)file)->path);
	return SHAKY_REAL(file)->pMethods->xClose(SHAKY_REAL(file));
}

static int shaky_read(sqlite3_file *file, void *into, int len, sqlite3_int64 offset)
{
	return SHAKY_REAL(file)->pMethods->xRead(SHAKY_REAL(file), into, len, offset);
}

static int shaky_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
	int answer = shaky_call();

	return answer != SQLITE_OK ? answer
				   : SHAKY_REAL(file)->pMethods->xWrite(SHAKY_REAL(file), bytes, len, offset);
}

static int shaky_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int answer = shaky_call();

	return answer != SQLITE_OK ? answer : SHAKY_REAL(file)->pMethods->xTruncate(SHAKY_REAL(file), size);
}

static void shaky_keep(const char *path)
{
	char to[PATH_MAX], block[65536];
	ssize_t got;
	int in, out;

	snprintf(to, sizeof to, "%s/%s", shaky.durable, strrchr(path, '/') + 1);
	in = open(path, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (in >= 0 && out >= 0 && (got = read(in, block, sizeof block)) > 0)
		if (write(out, block, (size_t)got) != got)
			abort();
	close(in);
	close(out);
}

static int shaky_sync(sqlite3_file *file, int flags)
{
	int answer = shaky_call();

	if (answer == SQLITE_OK)
		answer = SHAKY_REAL(file)->pMethods->xSync(SHAKY_REAL(file), flags);
	if (answer == SQLITE_OK && shaky.durable != NULL)
		shaky_keep(((struct shaky_file *)file)->path);
	return answer;
}

static int shaky_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return SHAKY_REAL(file)->pMethods->xFileSize(SHAKY_REAL(file), ret_size);
}

static int shaky_lock(sqlite3_file *file, int level)
{
	return SHAKY_REAL(file)->pMethods->xLock(SHAKY_REAL(file), level);
}

static int shaky_unlock(sqlite3_file *file, int level)
{
	return SHAKY_REAL(file)->pMethods->xUnlock(SHAKY_REAL(file), level);
}

static int shaky_reserved(sqlite3_file *file, int *ret_reserved)
{
	return SHAKY_REAL(file)->pMethods->xCheckReservedLock(SHAKY_REAL(file), ret_reserved);
}

static int shaky_control(sqlite3_file *file, int what, void *arg)
{
	return SHAKY_REAL(file)->pMethods->xFileControl(SHAKY_REAL(file), what, arg);
}

static int shaky_sector(sqlite3_file *file)
{
	return SHAKY_REAL(file)->pMethods->xSectorSize(SHAKY_REAL(file));
}

static int shaky_nature(sqlite3_file *file)
{
	return SHAKY_REAL(file)->pMethods->xDeviceCharacteristics(SHAKY_REAL(file));
}

static int shaky_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
	return SHAKY_REAL(file)->pMethods->xShmMap(SHAKY_REAL(file), page, size, extend, ret_map);
}

static int shaky_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return SHAKY_REAL(file)->pMethods->xShmLock(SHAKY_REAL(file), offset, count, flags);
}

static void shaky_shm_barrier(sqlite3_file *file)
{
	SHAKY_REAL(file)->pMethods->xShmBarrier(SHAKY_REAL(file));
}

static int shaky_shm_unmap(sqlite3_file *file, int delete_it)
{
	return SHAKY_REAL(file)->pMethods->xShmUnmap(SHAKY_REAL(file), delete_it);
}

static const sqlite3_io_methods shaky_methods = {
    .iVersion = 2,
    .xClose = shaky_close,
    .xRead = shaky_read,
    .xWrite = shaky_write,
    .xTruncate = shaky_truncate,
    .xSync = shaky_sync,
    .xFileSize = shaky_size,
    .xLock = shaky_lock,
    .xUnlock = shaky_unlock,
    .xCheckReservedLock = shaky_reserved,
    .xFileControl = shaky_control,
    .xSectorSize = shaky_sector,
    .xDeviceCharacteristics = shaky_nature,
    .xShmMap = shaky_shm_map,
    .xShmLock = shaky_shm_lock,
    .xShmBarrier = shaky_shm_barrier,
    .xShmUnmap = shaky_shm_unmap,
};

static int shaky_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct shaky_file *mine = (struct shaky_file *)file;
	int answer = shaky_call();

	(void)vfs;
	mine->base.pMethods = NULL;
	if (answer != SQLITE_OK)
		return SQLITE_CANTOPEN;
	mine->real = (sqlite3_file *)(mine + 1);
	answer = shaky.real->xOpen(shaky.real, path, mine->real, flags, ret_flags);
	if (answer != SQLITE_OK)
		return answer;
	mine->path = path != NULL ? strdup(path) : NULL;
	mine->base.pMethods = &shaky_methods;
	return SQLITE_OK;
}

static int shaky_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	int answer = shaky_call();

	(void)vfs;
	return answer != SQLITE_OK ? answer : shaky.real->xDelete(shaky.real, path, sync_dir);
}

static sqlite3_vfs shaky_vfs;

/* From now on every database of this process stands on it. */
static inline void shaky_install(void)
{
	if (shaky.real != NULL)
		return;
	shaky.real = sqlite3_vfs_find(NULL);
	shaky_vfs = *shaky.real;
	shaky_vfs.zName = "shaky";
	shaky_vfs.szOsFile = (int)sizeof(struct shaky_file) + shaky.real->szOsFile;
	shaky_vfs.xOpen = shaky_open;
	shaky_vfs.xDelete = shaky_delete;
	sqlite3_vfs_register(&shaky_vfs, 1);
}

/* The call of this number from now on (1: the next), and all after it if and_later. */
static inline void shaky_fail_at(unsigned number, bool and_later, int answer)
{
	shaky.done = 0;
	shaky.strike_at = number;
	shaky.and_later = and_later;
	shaky.kill = false;
	shaky.answer = answer;
}

static inline void shaky_kill_at(unsigned number)
{
	shaky_fail_at(number, false, SQLITE_OK);
	shaky.kill = true;
}

/* Steady again. */
static inline void shaky_calm(void)
{
	shaky.done = 0;
	shaky.strike_at = 0;
	shaky.durable = NULL;
}

#endif
