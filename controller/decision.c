/* Decision.  The list of what one sync wants done, and the words for it.  It only grows while the core fills it; its order within a stage is the order in which the
 * core found it, which goes by names and not by the order of any table.  Pure. */
#include "config.h"

#include "controller/decision.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

void decision_init(struct decision *decision)
{
	*decision = (struct decision){.is_idle = false};
}

void decision_release(struct decision *decision)
{
	free(decision->actions);
	free(decision->notes);
	decision_init(decision);
}

struct action *decision_add(struct decision *decision, enum action_kind kind)
{
	if (decision->action_count == decision->action_room) {
		decision->action_room = decision->action_room == 0 ? 16 : 2 * decision->action_room;
		decision->actions = xrealloc(decision->actions, decision->action_room * sizeof decision->actions[0]);
	}
	decision->actions[decision->action_count] = (struct action){.kind = kind};
	return &decision->actions[decision->action_count++];
}

void decision_note(struct decision *decision, enum note_type type, const char *reason, const char *format, ...)
{
	struct note *note;
	va_list args;

	if (decision->note_count == decision->note_room) {
		decision->note_room = decision->note_room == 0 ? 4 : 2 * decision->note_room;
		decision->notes = xrealloc(decision->notes, decision->note_room * sizeof decision->notes[0]);
	}
	note = &decision->notes[decision->note_count++];
	note->type = type;
	note->reason = reason;
	va_start(args, format);
	(void)vsnprintf(note->message, sizeof note->message, format, args); /* cut to its room: it is for people */
	va_end(args);
}

size_t decision_count(const struct decision *decision, enum action_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < decision->action_count; i++)
		count += decision->actions[i].kind == kind;
	return count;
}

const char *action_kind_text(enum action_kind kind)
{
	static const char *const texts[] = {
		[ACTION_ADOPT_REVISION] = "adopt revision",
		[ACTION_RELEASE_REVISION] = "release revision",
		[ACTION_LABEL_REVISION] = "label revision",
		[ACTION_RENUMBER_REVISION] = "renumber revision",
		[ACTION_CREATE_REVISION] = "create revision",
		[ACTION_RELABEL_POD] = "relabel pod",
		[ACTION_DELETE_DUPLICATE] = "delete duplicate revision",
		[ACTION_ADOPT_POD] = "adopt pod",
		[ACTION_RELEASE_POD] = "release pod",
		[ACTION_CREATE_POD] = "create pod",
		[ACTION_DELETE_POD] = "delete pod",
		[ACTION_DELETE_REVISION] = "delete revision",
	};

	must((size_t)kind < sizeof texts / sizeof texts[0]);
	return texts[kind];
}
