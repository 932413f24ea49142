/* The simulator's controller.  A cache that lags behind the world, a sync that decides from it by the real
 * core, and writes that are answered, refused or lost; after each the truths are checked (properties 1, 3 and
 * 6). */
#include "config.h"
#include "tests/sim/simulation.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/node_pods.h"
#include "controller/placement.h"
#include "controller/rollout.h"

bool simulation_strikes(struct simulation *simulation, enum fault fault, double probability)
{
	if (simulation->is_quiet || !world_chance(&simulation->world, probability))
		return false;
	simulation->faults[fault]++;
	return true;
}

/* ---- a controller's cache ------------------------------------------------------------------------------ */

/* What the reflector's callbacks tell the expectations (P-2, P-3). */
static void see(struct controller *controller, const struct entry *entry, const struct pod *before)
{
	const struct pod *after = entry->object;

	if (entry->kind != ENTRY_POD || before == after) /* the store knows it already */
		return;
	if (!world_is_ours(after != NULL ? &after->meta : &before->meta))
		return;
	if (before == NULL && after != NULL && !pod_is_terminating(after))
		expectations_create_seen(controller->expectations, SET_UID);
	else if ((before == NULL || !pod_is_terminating(before)) &&
		 (after == NULL || pod_is_terminating(after)))
		expectations_delete_seen(controller->expectations, SET_UID);
}

/* One kind up to this place of the log, event by event. */
void actor_hear(
    struct simulation *simulation, struct controller *controller, enum entry_kind kind, size_t position)
{
	size_t *at = &controller->cache.positions[kind];

	while (*at < position) {
		const struct entry *entry = &simulation->world.log[*at];
		const struct pod *before =
		    entry->kind == ENTRY_POD ? controller->cache.pods[entry->id] : NULL;

		world_advance(&simulation->world, &controller->cache, kind, *at + 1);
		if (kind != ENTRY_POD || entry->kind != kind)
			continue;
		see(controller, entry, before);
		if (simulation_strikes(simulation, EVENT_TWICE, 0.02))
			see(controller, entry, controller->cache.pods[entry->id]);
	}
}

void actor_catch_up(struct simulation *simulation, struct controller *controller)
{
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		actor_hear(simulation, controller, (enum entry_kind)kind, simulation->world.log_len);
}

bool actor_is_current(const struct simulation *simulation, const struct controller *controller)
{
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		if (controller->cache.positions[kind] < simulation->world.log_len)
			return false;
	return true;
}

/* Events in between are not heard; what differs is (P-3, N-5). */
void actor_relist(struct simulation *simulation, struct controller *controller)
{
	static const struct pod *before[POD_MAX];

	memcpy(before, controller->cache.pods, simulation->world.pod_count * sizeof before[0]);
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		world_advance(
		    &simulation->world, &controller->cache, (enum entry_kind)kind, simulation->world.log_len);
	for (size_t i = 0; i < simulation->world.pod_count; i++) {
		struct entry entry = {.kind = ENTRY_POD, .id = i, .object = controller->cache.pods[i]};

		see(controller, &entry, before[i]);
	}
}

void actor_forget(struct controller *controller)
{
	expectations_free(controller->expectations);
	retry_table_free(controller->retries);
	controller->expectations = expectations_new();
	controller->retries = retry_table_new();
	controller->step_count = controller->next_step = 0;
}

/* ---- one sync ------------------------------------------------------------------------------------------ */

struct view actor_view(
    const struct simulation *simulation, const struct controller *controller, struct arrays *arrays)
{
	struct view view = {
	    .set = controller->cache.set,
	    .nodes = arrays->nodes,
	    .pods = arrays->pods,
	    .revisions = arrays->revisions,
	    .retries = controller->retries,
	    .now_ms = simulation->world.now_ms,
	    .is_satisfied =
		expectations_satisfied(controller->expectations, SET_UID, simulation->world.now_ms),
	};

	for (size_t i = 0; i < simulation->world.node_count; i++)
		if (controller->cache.nodes[i] != NULL)
			arrays->nodes[view.node_count++] = controller->cache.nodes[i];
	for (size_t i = 0; i < simulation->world.pod_count; i++)
		if (controller->cache.pods[i] != NULL)
			arrays->pods[view.pod_count++] = controller->cache.pods[i];
	for (size_t i = 0; i < simulation->world.revision_count; i++)
		if (controller->cache.revisions[i] != NULL)
			arrays->revisions[view.revision_count++] = controller->cache.revisions[i];
	return view;
}

#define SHUFFLE(world, items, count)                                                                         \
	for (size_t shuffle_i = (count); shuffle_i > 1; shuffle_i--) {                                       \
		size_t shuffle_j = world_draw((world), shuffle_i);                                           \
		__typeof__((items)[0]) shuffle_item = (items)[shuffle_i - 1];                                \
                                                                                                             \
		(items)[shuffle_i - 1] = (items)[shuffle_j];                                                 \
		(items)[shuffle_j] = shuffle_item;                                                           \
	}

static bool has_failed_pod(const struct view *view)
{
	for (size_t i = 0; i < view->pod_count; i++)
		if (view->pods[i]->phase == POD_FAILED)
			return true;
	return false;
}

static bool is_same_action(const struct action *one, const struct action *other)
{
	return one->kind == other->kind && one->node == other->node && one->pod == other->pod &&
	       one->revision == other->revision;
}

/* Claims and labels come in the order of what is seen, which means nothing; creates and deletes do not. */
static bool has_action(const struct decision *decision, size_t place, const struct action *action)
{
	if (action->kind >= ACTION_CREATE_POD)
		return is_same_action(&decision->actions[place], action);
	for (size_t i = 0; i < decision->action_count; i++)
		if (is_same_action(&decision->actions[i], action))
			return true;
	return false;
}

/* Property 6: the order of what is seen does not matter.  Not where pods have failed, for the back-off is
 * told of them. */
static void check_order(
    struct simulation *simulation, struct view view, struct arrays *arrays, const struct decision *decision)
{
	struct decision other;
	bool is_same;

	if (has_failed_pod(&view) || !world_chance(&simulation->world, 0.12))
		return;
	SHUFFLE(&simulation->world, arrays->nodes, view.node_count);
	SHUFFLE(&simulation->world, arrays->pods, view.pod_count);
	SHUFFLE(&simulation->world, arrays->revisions, view.revision_count);
	decision_init(&other);
	decide(&view, &other);
	is_same = other.action_count == decision->action_count && strcmp(other.hash, decision->hash) == 0;
	for (size_t i = 0; is_same && i < other.action_count; i++)
		is_same = has_action(&other, i, &decision->actions[i]);
	HOLDS(simulation, is_same, "the order of what is seen changes the decision");
	decision_release(&other);
}

static struct step *add_step(struct controller *controller)
{
	if (controller->step_count == controller->step_room) {
		controller->step_room = controller->step_room == 0 ? 64 : 2 * controller->step_room;
		controller->steps =
		    xrealloc(controller->steps, controller->step_room * sizeof controller->steps[0]);
	}
	controller->steps[controller->step_count] = (struct step){.attempt = 1};
	return &controller->steps[controller->step_count++];
}

/* Property 3 of a set that surges: an update takes nothing that is available before something else is. */
static void check_surge(
    struct simulation *simulation, const struct controller *controller, const struct action *action)
{
	bool takes_available =
	    action->kind == ACTION_DELETE_POD &&
	    strncmp(action->reason, "outdated", sizeof "outdated" - 1) == 0 &&
	    pod_is_available(action->pod, controller->cache.set->min_ready_s, simulation->world.now_ms);

	HOLDS(simulation,
	    !takes_available || controller->cache.set->max_surge.number == 0 ||
		world_has_successor(&simulation->world, &controller->cache, action->pod),
	    "an available pod is taken before its successor is available");
}

static void copy_action(
    struct simulation *simulation, struct controller *controller, const struct action *action)
{
	struct step *step = add_step(controller);

	step->kind = action->kind;
	step->node = action->node;
	step->number = action->number;
	step->rests_on_absence = action->rests_on_absence;
	(void)snprintf(step->hash, sizeof step->hash, "%s",
	    action->hash != NULL       ? action->hash
	    : action->revision != NULL ? revision_hash(action->revision)
				       : controller->hash);
	if (action->pod == NULL)
		return;
	check_surge(simulation, controller, action);
	(void)snprintf(step->uid, sizeof step->uid, "%s", action->pod->meta.uid);
	(void)snprintf(step->name, sizeof step->name, "%s", action->pod->meta.name);
	step->says_vanished =
	    strcmp(action->reason != NULL ? action->reason : "", "its node does not exist") == 0;
	step->takes_available =
	    strcmp(action->reason != NULL ? action->reason : "", "outdated") == 0 &&
	    pod_is_available(action->pod, controller->cache.set->min_ready_s, simulation->world.now_ms);
}

static int64_t budget_of(const struct view *view)
{
	struct rollout_budget budget;
	struct node_table table;

	node_table_make(&table, view, view->pods, view->pod_count);
	budget = rollout_budget(view, &table);
	node_table_release(&table);
	return budget.max_unavailable;
}

static bool is_any_not_yet_available(const struct view *view)
{
	for (size_t i = 0; i < view->pod_count; i++)
		if (view->pods[i]->is_ready && !pod_is_terminating(view->pods[i]) &&
		    !pod_is_available(view->pods[i], view->set->min_ready_s, view->now_ms))
			return true;
	return false;
}

void actor_begin_sync(struct simulation *simulation, struct controller *controller)
{
	static struct arrays arrays;
	struct view view = actor_view(simulation, controller, &arrays);
	char pods[24], revisions[24];
	const char *const reached[WRITTEN_KINDS] = {
	    [WRITTEN_POD] = pods, [WRITTEN_SET] = "", [WRITTEN_REVISION] = revisions};
	struct decision decision;

	(void)snprintf(pods, sizeof pods, "%zu", controller->cache.positions[ENTRY_POD]);
	(void)snprintf(revisions, sizeof revisions, "%zu", controller->cache.positions[ENTRY_REVISION]);
	if (!expectations_reached(controller->expectations, SET_UID, reached)) /* P-6 */
		return;
	simulation->faults[STALE_SYNC] += !actor_is_current(simulation, controller);
	simulation->faults[NOT_YET_AVAILABLE] += is_any_not_yet_available(&view);
	decision_init(&decision);
	decide(&view, &decision);
	check_order(simulation, view, &arrays, &decision);
	controller->set = view.set;
	if (decision_count(&decision, ACTION_DELETE_POD) != 0) /* what it is for */
		controller->budget = budget_of(&view);
	(void)snprintf(controller->hash, sizeof controller->hash, "%s", decision.hash);
	controller->step_count = controller->next_step = 0;
	for (size_t i = 0; i < decision.action_count; i++)
		copy_action(simulation, controller, &decision.actions[i]);
	if (decision_count(&decision, ACTION_CREATE_POD) + decision_count(&decision, ACTION_DELETE_POD) != 0)
		expectations_set(controller->expectations, SET_UID,
		    (int64_t)decision_count(&decision, ACTION_CREATE_POD),
		    (int64_t)decision_count(&decision, ACTION_DELETE_POD), simulation->world.now_ms);
	decision_release(&decision);
}

/* ---- one write ----------------------------------------------------------------------------------------- */

/* Property 1. */
static void check_living(struct simulation *simulation, const char *node_name)
{
	int limit = simulation->world.may_surge ? 2 : 1;

	HOLDS(simulation, world_living(&simulation->world, node_name, !simulation->world.may_surge) <= limit,
	    "more than %d pods on %s", limit, node_name);
}

/* Property 3. */
static void check_budget(struct simulation *simulation, const struct controller *controller)
{
	int64_t broken = 0;

	for (size_t i = 0; i < simulation->world.node_count;
	     i++) /* of those that should have a pod, as this sync saw it */
		broken +=
		    simulation->world.broken_by_us[i] && controller->cache.nodes[i] != NULL &&
		    placement_decide(controller->set->pod_template, controller->cache.nodes[i]).should_run;
	HOLDS(simulation, broken <= controller->budget,
	    "%" PRId64 " nodes made unavailable, %" PRId64 " allowed", broken, controller->budget);
}

static void unsee(struct controller *controller, const struct step *step)
{
	if (step->kind == ACTION_CREATE_POD)
		expectations_create_seen(controller->expectations, SET_UID);
	else if (step->kind == ACTION_DELETE_POD)
		expectations_delete_seen(controller->expectations, SET_UID);
}

/* After an error: the rest of the sync is not done, and not expected. */
static void give_up(struct controller *controller)
{
	while (controller->next_step < controller->step_count)
		unsee(controller, &controller->steps[controller->next_step++]);
}

static const char *written(struct simulation *simulation)
{
	static char version[24];

	(void)snprintf(version, sizeof version, "%zu", simulation->world.log_len);
	return version;
}

/* DESIGN decision 9: who holds the name?  true: go on with this step, under another name. */
static bool name_is_taken(
    struct simulation *simulation, struct controller *controller, struct step *step, const struct pod *holder)
{
	simulation->faults[NAME_TAKEN]++;
	simulation->faults[NAME_OF_STRANGER] += !world_is_ours(&holder->meta);
	if (!world_is_ours(&holder->meta) || (pod_is_terminal(holder) && pod_is_terminating(holder))) {
		step->attempt++;
		return true;
	}
	unsee(controller, step); /* it is there already, or we wait until it has gone */
	return false;
}

static bool place(struct simulation *simulation, struct controller *controller, struct step *step)
{
	struct pod_name name = pod_name_make(
	    SET_NAME, step->node->meta.name, step->node->meta.uid, controller->hash, step->attempt);
	const struct pod *holder;
	size_t id;

	holder = world_find_pod(&simulation->world, name.text, &id);
	if (holder != NULL)
		return name_is_taken(simulation, controller, step, holder);
	(void)world_create_pod(&simulation->world, name.text, step->node, controller->hash);
	check_living(simulation, step->node->meta.name);
	return false;
}

static void take_away(struct simulation *simulation, struct controller *controller, const struct step *step)
{
	const struct pod *pod;
	size_t id, node_id;

	pod = world_find_pod(&simulation->world, step->name, &id);
	if (pod == NULL || strcmp(pod->meta.uid, step->uid) != 0) {
		unsee(controller, step); /* 404: success */
		return;
	}
	node_id = world_node_id(&simulation->world, pod->target);
	if (step->rests_on_absence && simulation->world.now.nodes[node_id] != NULL) {
		simulation->faults[SAVED_BY_GET]++;
		unsee(controller, step);
		return;
	}
	HOLDS(simulation, !step->says_vanished || simulation->world.now.nodes[node_id] == NULL,
	    "a delete for a node that is there");
	if (step->takes_available && pod->is_ready && simulation->world.now.nodes[node_id] != NULL)
		simulation->world.broken_by_us[node_id] = true;
	(void)world_delete_pod(&simulation->world, step->uid);
	if (step->takes_available)
		check_budget(simulation, controller);
}

/* Does it on the server; true: the same step again. */
static bool carry_out(struct simulation *simulation, struct controller *controller, struct step *step)
{
	struct world *world = &simulation->world;

	simulation->writes++;
	switch (step->kind) {
	case ACTION_CREATE_POD: return place(simulation, controller, step);
	case ACTION_DELETE_POD: take_away(simulation, controller, step); break;
	case ACTION_CREATE_REVISION:
		if (world_find_revision(world, controller->hash) ==
		    NULL) /* else it is ours, with the same bytes (H-6) */
			world_write_revision(world, controller->set, controller->hash, step->number);
		break;
	case ACTION_RENUMBER_REVISION:
		world_write_revision(world, controller->set, step->hash, step->number);
		break;
	case ACTION_RELABEL_POD: world_relabel_pod(world, step->uid, step->hash); break;
	case ACTION_DELETE_DUPLICATE:
		simulation->faults[DOUBLE_DELETED]++;
		world_delete_revision(world, step->hash);
		break;
	case ACTION_DELETE_REVISION: world_delete_revision(world, step->hash); break;
	case ACTION_ADOPT_POD: simulation->faults[POD_ADOPTED] += world_adopt_pod(world, step->uid); break;
	case ACTION_RELEASE_POD:
		simulation->faults[POD_RELEASED]++;
		world_release_pod(world, step->uid);
		break;
	case ACTION_ADOPT_REVISION:
		simulation->faults[REVISION_ADOPTED] += world_adopt_revision(world, step->hash);
		break;
	case ACTION_RELEASE_REVISION:
	case ACTION_LABEL_REVISION: must(!"all revisions match, and have their label");
	}
	return false;
}

void actor_do_step(struct simulation *simulation, struct controller *controller)
{
	struct step *step = &controller->steps[controller->next_step];

	if (&simulation->controllers[simulation->leader] !=
	    controller) { /* no write without a fresh lease (C3) */
		simulation->faults[THAWED_REFUSED]++;
		give_up(controller);
		return;
	}
	TRACE(simulation, "%" PRId64 " %d: %s %s %s\n", simulation->world.now_ms, simulation->leader,
	    action_kind_text(step->kind), step->name, step->node != NULL ? step->node->meta.name : "");
	if (simulation_strikes(simulation, CONFLICT_409, 0.01) ||
	    simulation_strikes(simulation, REFUSED_500, 0.02) ||
	    simulation_strikes(simulation, BUSY_429, 0.02)) {
		give_up(controller);
		return;
	}
	if (simulation_strikes(simulation, LOST_BEFORE, 0.02)) {
		controller->next_step++; /* not known: the expectation stays */
		expectations_unknown(controller->expectations, SET_UID, simulation->world.now_ms);
		give_up(controller);
		return;
	}
	if (carry_out(simulation, controller, step))
		return;
	controller->next_step++;
	if (simulation_strikes(simulation, LOST_AFTER, 0.02)) {
		expectations_unknown(controller->expectations, SET_UID, simulation->world.now_ms);
		give_up(controller);
		return;
	}
	expectations_wrote(controller->expectations, SET_UID,
	    step->kind <= ACTION_DELETE_DUPLICATE && step->kind != ACTION_RELABEL_POD ? WRITTEN_REVISION
										      : WRITTEN_POD,
	    written(simulation));
}
