/* One log file that is held open, and the container whose files follow each other in order.
 *
 * A tail is shared by all outputs: it has the descriptor, the identity and what is known of the file's end.  Each output reads it through
 * a reader of its own (the cursor embeds one), with its own offset.
 *
 *   adopted -> (renamed)* -> unlinked or truncated -> every reader gone -> freed
 *
 * The descriptor stays open as long as the file has a name or a reader needs it: that is what makes its inode number unique meanwhile. */
#ifndef DRAVE_COLLECTOR_TAIL_H
#define DRAVE_COLLECTOR_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/podpath.h"
#include "common/table.h"
#include "outputs/record.h"

#define TAIL_HEAD_BYTES 256

struct tail;
struct follower;
struct gzip_pool;

struct container {
	unsigned magic;
	struct origin origin; /* texts owned by the container */
	char *key;            /* "<uid>/<container>": unique, the hash key */
	struct tail *tails;   /* utlist DL, in reading order: by restart, rotated ones oldest first, the live one last */
	bool awaits_metadata; /* no reader begins: what the API knows of it is on its way */
	bool is_excluded;     /* its pod asks not to be read */
	UT_hash_handle hh;
};

/* One output's reader of one tail; embedded in its cursor. */
struct tail_reader {
	struct tail *tail;
	struct tail_reader *prev, *next;
	/* There may be more bytes, or the tail's situation changed (successor, unlinked, truncated): look again, later, in your own turn. */
	void (*wake)(struct tail_reader *reader);
	/* The lowest offset whose bytes it still needs (unread, or read and not yet acknowledged durably); UINT64_MAX = it needs nothing any more. */
	uint64_t (*needs_from)(const struct tail_reader *reader);
	/* hold_limit struck: count what is unread as lost, and need nothing from now on. */
	void (*give_up)(struct tail_reader *reader);
};

struct tail_identity {
	uint64_t dev;
	uint64_t ino;
	uint64_t generation; /* how often this inode was truncated under our eyes (a new tail begins each time) */
	int64_t birth_ns;    /* statx btime, 0 where the file system has none */
};

struct tail {
	unsigned magic;
	struct container *container;
	struct tail *prev, *next;   /* in container->tails; next != NULL means: it has a successor */
	struct logfile_name name;   /* as last seen */
	char *path;                 /* below the log root (or docker root), as last seen; for people and the checkpoint */
	int fd;                     /* -1 once it was truncated: its successor has the descriptor */
	struct tail_identity identity;
	struct source source;       /* first_line_hash is valid once has_first_line */
	bool has_first_line;
	char head[TAIL_HEAD_BYTES]; /* the first bytes, as many as there are so far */
	size_t head_len;
	uint64_t size;              /* at the last look; grows only (a truncation begins a new tail) */
	uint64_t changed_ms;        /* monotonic time of the last look that found it grown or renamed */
	bool was_there;             /* found while stock was taken, of all there is, for outputs that had just begun: read_from applies to these */
	bool is_docker;             /* the lines are docker's json-file, not CRI */
	bool is_known;              /* the checkpoint had a row of it when it was adopted */
	struct gzip_pool *gzip;     /* unpacks its bytes: it is compressed, and offsets and `size` are those of what is in it; NULL = a plain file */
	bool is_damaged;            /* compressed, and somewhere nothing more could be unpacked */
	bool unlinked;              /* it has no name any more */
	bool truncated;             /* it was cut: bytes from its readers' offsets to `size` are gone; nothing more will come */
	struct tail_reader *readers;
	uint64_t number;            /* in order of adoption */
	unsigned age;               /* docker: N of -json.log.N, higher is older; else 0 */
	UT_hash_handle hh;          /* in the follower's table, by identity */
	void *segment;              /* struct segment of the checkpoint; the collector's */
};

/* The tail that is read before this one, or NULL.  (tail->prev of the first one is the last one: utlist's way.) */
struct tail *tail_predecessor(const struct tail *tail);

/* A reader comes and goes.  When the last one goes and the file has no name, the follower lets the tail go (from its next sweep, not from
 * inside this call). */
void tail_attach(struct tail *tail, struct tail_reader *reader);
void tail_detach(struct tail_reader *reader);

/* Reads at offset into the caller's memory: bytes, 0 at the end (always so after a truncation), -errno.  Short reads happen only at the end.
 * A compressed file may also say -EAGAIN (too many are being unpacked, later) and -EBADMSG (damaged from here on). */
ssize_t tail_read(const struct tail *tail, void *into, size_t len, uint64_t offset);

/* XXH3-64 of the first len bytes of its head (len <= head_len), and of the (at most TAIL_HEAD_BYTES) bytes before offset; -errno if they cannot be
 * read.  The checkpoint's fingerprints.  A compressed file has none before an offset (-ENOTSUP): nobody writes to it, so its head and size tell. */
uint64_t tail_head_hash(const struct tail *tail, size_t len);
int tail_mark_hash(const struct tail *tail, uint64_t offset, uint32_t *ret_len, uint64_t *ret_hash);

/* The rest is the follower's. */

void tail_wake(struct tail *tail);
/* Learns more of the head, as far as `size` goes, and the first line's hash as soon as that line is complete, or at once if `is_last_chance`.
 * True if it learned anything. */
bool tail_learn_head(struct tail *tail, bool is_last_chance);
/* Do other bytes stand at its beginning by now?  Then it was cut and has grown again unseen. */
bool tail_head_changed(const struct tail *tail);
/* Bytes up to `size` that some reader still needs. */
uint64_t tail_needed_bytes(const struct tail *tail);
/* hold_limit: every reader counts what it did not get and needs nothing any more. */
void tail_give_up(struct tail *tail);

#endif
