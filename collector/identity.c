/* Identity.  A file is known again by its first bytes, whatever its name and its inode number are by now.
 *
 * Stands between the follower, which has the file, and the checkpoint, which has the rows.  Owns nothing: the
 * row is the checkpoint's, the tail the follower's. */
#include "config.h"
#include "collector/identity.h"

#include <stdio.h>

#include "common/table.h"

#define STREAM_BYTES 512
#define RUNS_BACK    4096 /* of a container, to see whether it is known: two weeks of a crash loop */

static void name_stream(char stream[STREAM_BYTES], const struct container *container, unsigned restart)
{
	(void)snprintf(stream, STREAM_BYTES, "%s/%u", container->key, restart);
}

static void describe(const struct tail *tail, char stream[STREAM_BYTES], struct segment_key *ret_key)
{
	name_stream(stream, tail->container, tail->name.restart);
	*ret_key = (struct segment_key){
	    .stream = stream,
	    .dev = tail->identity.dev,
	    .ino = tail->identity.ino,
	    .generation = tail->identity.generation,
	    .birth_ns = tail->identity.birth_ns,
	    .first_line_hash = tail->has_first_line ? tail->source.first_line_hash : 0,
	    .head_len = (uint32_t)tail->head_len,
	    .head_hash = tail_head_hash(tail, tail->head_len),
	    .path = tail->path,
	};
}

/* Its first bytes decide: an inode number alone is reused, and a copied volume has others.  A segment that
 * was empty when it was stored is known by inode, generation and birth. */
static bool is_same_file(void *arg, const struct segment_key *stored)
{
	const struct tail *tail = arg;

	if (stored->head_len == 0)
		return stored->dev == tail->identity.dev && stored->ino == tail->identity.ino &&
		       stored->generation == tail->identity.generation &&
		       stored->birth_ns == tail->identity.birth_ns;
	return stored->head_len <= tail->head_len &&
	       stored->head_hash == tail_head_hash(tail, stored->head_len);
}

static void find(struct checkpoint *checkpoint, struct tail *tail)
{
	char stream[STREAM_BYTES];

	name_stream(stream, tail->container, tail->name.restart);
	tail->segment = checkpoint_find(checkpoint, stream, is_same_file, tail);
	tail->is_known = tail->segment != NULL;
}

struct segment *identity_claim(struct checkpoint *checkpoint, struct tail *tail)
{
	char stream[STREAM_BYTES];
	struct segment_key key;

	describe(tail, stream, &key);
	if (tail->segment == NULL)
		find(checkpoint, tail);
	if (tail->segment != NULL)
		checkpoint_update(checkpoint, tail->segment, &key);
	else
		tail->segment = checkpoint_add(checkpoint, &key);
	return tail->segment;
}

/* A run of the container that the checkpoint knows, this one or one before it. */
static bool is_known_run(struct checkpoint *checkpoint, const struct container *container, unsigned restart)
{
	char stream[STREAM_BYTES];

	for (unsigned back = 0; back <= restart && back < RUNS_BACK; back++) {
		name_stream(stream, container, restart - back);
		if (checkpoint_stream(checkpoint, stream) != STREAM_UNKNOWN)
			return true;
	}
	return false;
}

bool identity_may_resume(
    struct checkpoint *checkpoint, const struct container *container, unsigned restart, bool is_first_look)
{
	char stream[STREAM_BYTES];

	name_stream(stream, container, restart);
	return checkpoint_stream(checkpoint, stream) == STREAM_MISSED ||
	       (is_first_look && is_known_run(checkpoint, container, restart));
}

/* A compressed file that the checkpoint knows by its head is read on.  One that it does not know was either
 * done with before the last stop, and its row went with its plain file, or was born and compressed while
 * nobody was here.  A newer file that is known tells: then it was there before. */
bool identity_resumes(struct checkpoint *checkpoint, struct tail *tail, bool is_first_look)
{
	const struct tail *other;

	find(checkpoint, tail);
	if (tail->segment != NULL)
		return true;
	DL_FOREACH (tail->container->tails, other)
		if (other->is_known && podpath_compare(&other->name, &tail->name) > 0)
			return false;
	return is_first_look;
}

void identity_update(struct checkpoint *checkpoint, const struct tail *tail)
{
	char stream[STREAM_BYTES];
	struct segment_key key;

	if (tail->segment == NULL)
		return;
	describe(tail, stream, &key);
	checkpoint_update(checkpoint, tail->segment, &key);
}

/* If the file is gone, an output between two configurations reads it no more either: nobody could.  If it is
 * only unwanted, it may be wanted again, and gone on with where it was. */
void identity_release(struct checkpoint *checkpoint, struct tail *tail)
{
	if (tail->segment != NULL && (tail->unlinked || tail->truncated))
		checkpoint_forget(checkpoint, tail->segment);
	else if (tail->segment != NULL)
		checkpoint_release(checkpoint, tail->segment);
	tail->segment = NULL;
}
