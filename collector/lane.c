/* Lane.  A queue with a destination.
 *
 * Stands between gatherer (which fills `open`) and shipper (which sends `queue`).  Owns its key; its batches belong to whoever the batch's state
 * names.  It lives as long as it has batches, or a route leads to it. */
#include "config.h"
#include "collector/lane.h"

#include <stdlib.h>
#include <string.h>

struct lane *lane_get(struct lane **lanes, const char *key, size_t key_len, unsigned number)
{
	struct lane *lane;

	HASH_FIND(hh, *lanes, key, key_len, lane);
	if (lane != NULL)
		return lane;
	lane = x_new(lane);
	lane->key = xmalloc(key_len);
	memcpy(lane->key, key, key_len);
	lane->key_len = key_len;
	lane->number = number;
	for (const char *text = lane->key + strlen(lane->key) + 1; text < lane->key + key_len; text += strlen(text) + 1) {
		must(lane->destination_count < OUTPUT_TEMPLATES);
		lane->destination[lane->destination_count++] = text;
	}
	HASH_ADD_KEYPTR(hh, *lanes, lane->key, lane->key_len, lane);
	return lane;
}

bool lane_is_idle(const struct lane *lane)
{
	return lane->open == NULL && lane->queue == NULL;
}

void lane_tidy(struct lane **lanes, struct lane *lane)
{
	if (!lane_is_idle(lane) || lane->route_count != 0)
		return;
	HASH_DELETE(hh, *lanes, lane);
	free(lane->key);
	free(lane);
}
