/* A gzip file read at any offsets, against the same file unpacked once from its head.
 *
 *   byte 0    how many offsets there are, at most 32
 *   then      two bytes each: an offset, and the length of the read in its lower bits
 *   rest      the file
 *
 * Two places in the pool, so that readings are shared, taken over and begun again. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collector/gzip_file.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/must.h"

#define UNPACKED_MAX (1u << 18) /* what is beyond is not looked at */
#define STEP         5

static int make_file(const uint8_t *bytes, size_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0);
	must(file_write_all(fd, bytes, len) >= 0);
	return fd;
}

/* In one go, and whether it ended in damage. */
static size_t unpack_all(int fd, char *into, bool *ret_is_damaged)
{
	ssize_t got = gzip_file_head(fd, into, UNPACKED_MAX);

	must(got >= 0 || got == -EBADMSG);
	*ret_is_damaged = got < 0;
	return got < 0 ? 0 : (size_t)got;
}

static void read_and_compare(
    struct gzip_pool *pool, int fd, const char *all, size_t all_len, size_t offset, size_t len)
{
	char bytes[256];
	ssize_t got = gzip_pool_read(pool, fd, bytes, len, offset);
	size_t expected = offset < all_len ? all_len - offset : 0;

	if (expected > len)
		expected = len;
	if (expected == 0)
		must(got == 0 || got == -EBADMSG || all_len == UNPACKED_MAX);
	else
		must(got == (ssize_t)expected || (got > (ssize_t)expected && all_len == UNPACKED_MAX));
	must(got <= 0 || memcmp(bytes, all + offset, expected) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t count = len > 0 ? bytes[0] % 33 : 0;
	struct gzip_pool *pool;
	bool is_damaged;
	size_t all_len;
	uint64_t size;
	char *all;
	int fd;

	if (len < 1 + 2 * count)
		return 0;
	fd = make_file(bytes + 1 + 2 * count, len - 1 - 2 * count);
	all = xmalloc(UNPACKED_MAX);
	all_len = unpack_all(fd, all, &is_damaged);
	must(!is_damaged || all_len == 0);
	(void)gzip_file_size(fd, &size);
	pool = gzip_pool_new(2);
	for (size_t i = 0; i < count; i++) {
		size_t place = (size_t)bytes[1 + 2 * i] << 8 | bytes[2 + 2 * i];

		clock_hold(1000 + i * 2000, 0); /* nothing is too young to be taken over */
		read_and_compare(pool, fd, all, all_len, place * STEP, 1 + place % 256);
	}
	clock_release();
	gzip_pool_free(pool);
	free(all);
	must(close(fd) == 0);
	return 0;
}
