/* Simulator.  Two controllers with caches of their own over one simulated API server, and everything that can
 * go wrong, drawn from a seed (placement properties 1 to 7).
 *
 *     simulator [--seeds N] [--seed S] [--trace]
 *
 * A controller's cache is a place in the server's log that may lag, hear an event twice, or jump (a relist).
 * Writes are answered, refused, lost before or after they were done; a controller is killed or frozen between
 * any two of them.  A write reaches the server when it is sent, and is only sent with a fresh lease: what a
 * deposed leader had sent has landed before its successor's first, consistent list, as the margin between
 * renew deadline and lease duration is there for.
 *
 * After each write the truths are checked; at the end faults stop, and everything has to come to rest.  Each
 * kind of fault is counted, and none may be missing. */
#include "config.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "controller/decide.h"
#include "controller/expectations.h"
#include "controller/node_pods.h"
#include "controller/rollout.h"
#include "tests/sim/world.h"

#define NODES         20
#define EVENTS        220
#define CONTROLLERS   2
#define QUIET_ROUNDS  400
#define DEFAULT_SEEDS 10000

enum fault {
	STALE_SYNC,
	EVENT_TWICE,
	RELIST,
	CONFLICT_409,
	REFUSED_500,
	BUSY_429,
	LOST_AFTER,
	LOST_BEFORE,
	KILLED,
	FROZEN,
	THAWED_REFUSED,
	LEADER_CHANGED,
	NODE_ADDED,
	NODE_REMOVED,
	TAINTED,
	CORDONED,
	RELABELLED,
	A_POD_FAILED,
	A_POD_EVICTED,
	A_POD_UNREADY,
	USER_DELETED,
	TEMPLATE_CHANGED,
	ROLLED_BACK,
	STRATEGY_CHANGED,
	EXPIRED,
	NAME_TAKEN,
	SAVED_BY_GET,
	FAULT_COUNT
};

static const char *const fault_names[FAULT_COUNT] = {"stale sync", "event twice", "relist", "409", "500",
    "429", "answer lost, done", "answer lost, not done", "killed", "frozen", "deposed, refused",
    "leader changed", "node added", "node removed", "tainted", "cordoned", "relabelled", "pod failed",
    "pod evicted", "pod unready", "user deleted", "template changed", "rolled back", "strategy changed",
    "expectation expired", "name taken", "delete saved by GET"};

struct step { /* one write that a sync still has to do; names are copied, for the cache moves on */
	enum action_kind kind;
	const struct node *node;
	char uid[32], name[96], hash[POD_HASH_BYTES];
	int64_t number;
	bool rests_on_absence, says_vanished, takes_available;
	unsigned attempt;
};

struct controller {
	struct state cache;
	struct expectations *expectations;
	struct retry_table *retries;
	struct step *steps;
	size_t step_count, next_step, step_room;
	const struct collector_set *set; /* that the steps were decided for */
	int64_t budget;                  /* of that sync: nodes that may be unavailable */
	char hash[POD_HASH_BYTES];
	bool is_frozen;
};

struct simulation {
	uint64_t seed;
	struct world world;
	struct controller controllers[CONTROLLERS];
	int leader;
	bool is_quiet; /* no faults any more */
	bool is_traced;
	uint64_t writes;
	uint64_t *faults;
	int last_template;
};

static const char *complaint; /* the first truth that broke in this seed */

#define HOLDS(simulation, truth, ...)                                                                        \
	do {                                                                                                 \
		if (!(truth) && complaint == NULL) {                                                         \
			complaint = #truth;                                                                  \
			fprintf(stderr, "seed %" PRIu64 ": broken: ", (simulation)->seed);                   \
			fprintf(stderr, __VA_ARGS__);                                                        \
			fprintf(stderr, "\n");                                                               \
		}                                                                                            \
	} while (0)

#define TRACE(simulation, ...)                                                                               \
	do {                                                                                                 \
		if ((simulation)->is_traced)                                                                 \
			printf(__VA_ARGS__);                                                                 \
	} while (0)

static bool strikes(struct simulation *simulation, enum fault fault, double probability)
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
	if (before == NULL && after != NULL && !pod_is_terminating(after))
		expectations_create_seen(controller->expectations, SET_UID);
	else if ((before == NULL || !pod_is_terminating(before)) &&
		 (after == NULL || pod_is_terminating(after)))
		expectations_delete_seen(controller->expectations, SET_UID);
}

/* One kind up to this place of the log, event by event. */
static void hear(
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
		if (strikes(simulation, EVENT_TWICE, 0.02))
			see(controller, entry, controller->cache.pods[entry->id]);
	}
}

static void catch_up(struct simulation *simulation, struct controller *controller)
{
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		hear(simulation, controller, (enum entry_kind)kind, simulation->world.log_len);
}

static bool is_current(const struct simulation *simulation, const struct controller *controller)
{
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		if (controller->cache.positions[kind] < simulation->world.log_len)
			return false;
	return true;
}

/* Events in between are not heard; what differs is (P-3, N-5). */
static void relist(struct simulation *simulation, struct controller *controller)
{
	struct state before = controller->cache;

	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		world_advance(
		    &simulation->world, &controller->cache, (enum entry_kind)kind, simulation->world.log_len);
	for (size_t i = 0; i < simulation->world.pod_count; i++) {
		struct entry entry = {.kind = ENTRY_POD, .id = i, .object = controller->cache.pods[i]};

		see(controller, &entry, before.pods[i]);
	}
}

static void forget(struct controller *controller)
{
	expectations_free(controller->expectations);
	retry_table_free(controller->retries);
	controller->expectations = expectations_new();
	controller->retries = retry_table_new();
	controller->step_count = controller->next_step = 0;
}

/* ---- one sync ------------------------------------------------------------------------------------------ */

struct arrays {
	const struct node *nodes[NODE_MAX];
	const struct pod *pods[POD_MAX];
	const struct revision *revisions[REVISION_MAX];
};

static struct view view_of(
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

/* Property 6: the order of what is seen does not matter.  Not where pods have failed, for the back-off is
 * told of them. */
static void check_order(
    struct simulation *simulation, struct view view, struct arrays *arrays, const struct decision *decision)
{
	struct decision other;
	bool is_same;

	if (has_failed_pod(&view) || !world_chance(&simulation->world, 0.2))
		return;
	SHUFFLE(&simulation->world, arrays->nodes, view.node_count);
	SHUFFLE(&simulation->world, arrays->pods, view.pod_count);
	SHUFFLE(&simulation->world, arrays->revisions, view.revision_count);
	decision_init(&other);
	decide(&view, &other);
	is_same = other.action_count == decision->action_count && strcmp(other.hash, decision->hash) == 0;
	for (size_t i = 0; is_same && i < other.action_count; i++)
		is_same = other.actions[i].kind == decision->actions[i].kind &&
			  other.actions[i].node == decision->actions[i].node &&
			  other.actions[i].pod == decision->actions[i].pod;
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
	bool takes_available = action->kind == ACTION_DELETE_POD &&
			       strncmp(action->reason, "outdated", sizeof "outdated" - 1) == 0 &&
			       pod_is_available(action->pod, 0, simulation->world.now_ms);

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
	step->takes_available = strcmp(action->reason != NULL ? action->reason : "", "outdated") == 0 &&
				pod_is_available(action->pod, 0, simulation->world.now_ms);
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

static void begin_sync(struct simulation *simulation, struct controller *controller)
{
	static struct arrays arrays;
	struct view view = view_of(simulation, controller, &arrays);
	char pods[24], revisions[24];
	const char *const reached[WRITTEN_KINDS] = {
	    [WRITTEN_POD] = pods, [WRITTEN_SET] = "", [WRITTEN_REVISION] = revisions};
	struct decision decision;

	(void)snprintf(pods, sizeof pods, "%zu", controller->cache.positions[ENTRY_POD]);
	(void)snprintf(revisions, sizeof revisions, "%zu", controller->cache.positions[ENTRY_REVISION]);
	if (!expectations_reached(controller->expectations, SET_UID, reached)) /* P-6 */
		return;
	simulation->faults[STALE_SYNC] += !is_current(simulation, controller);
	decision_init(&decision);
	decide(&view, &decision);
	check_order(simulation, view, &arrays, &decision);
	controller->set = view.set;
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
	if (pod_is_terminal(holder) && pod_is_terminating(holder)) {
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
	case ACTION_DELETE_REVISION: world_delete_revision(world, step->hash); break;
	case ACTION_ADOPT_REVISION:
	case ACTION_RELEASE_REVISION:
	case ACTION_LABEL_REVISION:
	case ACTION_ADOPT_POD:
	case ACTION_RELEASE_POD: must(!"the world has no orphans");
	}
	return false;
}

static void do_step(struct simulation *simulation, struct controller *controller)
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
	if (strikes(simulation, CONFLICT_409, 0.01) || strikes(simulation, REFUSED_500, 0.02) ||
	    strikes(simulation, BUSY_429, 0.02)) {
		give_up(controller);
		return;
	}
	if (strikes(simulation, LOST_BEFORE, 0.02)) {
		controller->next_step++; /* not known: the expectation stays */
		expectations_unknown(controller->expectations, SET_UID, simulation->world.now_ms);
		give_up(controller);
		return;
	}
	if (carry_out(simulation, controller, step))
		return;
	controller->next_step++;
	if (strikes(simulation, LOST_AFTER, 0.02)) {
		expectations_unknown(controller->expectations, SET_UID, simulation->world.now_ms);
		give_up(controller);
		return;
	}
	expectations_wrote(controller->expectations, SET_UID,
	    step->kind <= ACTION_DELETE_DUPLICATE && step->kind != ACTION_RELABEL_POD ? WRITTEN_REVISION
										      : WRITTEN_POD,
	    written(simulation));
}

/* ---- what happens -------------------------------------------------------------------------------------- */

static void work(struct simulation *simulation, struct controller *controller, int most)
{
	if (controller->is_frozen)
		return;
	if (controller->next_step == controller->step_count &&
	    &simulation->controllers[simulation->leader] == controller)
		begin_sync(simulation, controller);
	while (most-- > 0 && controller->next_step < controller->step_count)
		do_step(simulation, controller);
}

/* The lease has run out: another one leads, after a consistent list (P-7). */
static void change_leader(struct simulation *simulation)
{
	simulation->faults[LEADER_CHANGED]++;
	simulation->leader = (simulation->leader + 1) % CONTROLLERS;
	simulation->controllers[simulation->leader].is_frozen = false;
	relist(simulation, &simulation->controllers[simulation->leader]);
	forget(&simulation->controllers[simulation->leader]);
}

static void expire(struct simulation *simulation)
{
	simulation->faults[EXPIRED]++;
	simulation->world.now_ms += EXPECTATION_TIMEOUT_MS + 1000;
	for (int i = 0; i < CONTROLLERS;
	     i++) /* no cache lags for minutes: a watch that is silent for so long is ended */
		relist(simulation, &simulation->controllers[i]);
}

static void change_template(struct simulation *simulation)
{
	int next = (int)world_draw(&simulation->world, TEMPLATES), now = simulation->world.template_index;

	simulation
	    ->faults[next == simulation->last_template && next != now ? ROLLED_BACK : TEMPLATE_CHANGED]++;
	simulation->last_template = now;
	world_set_template(&simulation->world, next);
}

static void trouble_cluster(struct simulation *simulation)
{
	struct world *world = &simulation->world;
	uint64_t *faults = simulation->faults;

	switch (world_draw(world, 12)) {
	case 0:
		world_add_node(world);
		faults[NODE_ADDED]++;
		break;
	case 1: faults[NODE_REMOVED] += world_remove_node(world); break;
	case 2: faults[TAINTED] += world_taint_node(world); break;
	case 3: faults[CORDONED] += world_cordon_node(world); break;
	case 4: faults[RELABELLED] += world_relabel_node(world); break;
	case 5:
	case 6: faults[A_POD_FAILED] += world_fail_pod(world, ""); break;
	case 7: faults[A_POD_EVICTED] += world_fail_pod(world, "Evicted"); break;
	case 8: faults[A_POD_UNREADY] += world_unready_pod(world); break;
	case 9: faults[USER_DELETED] += world_user_deletes_pod(world); break;
	case 10: change_template(simulation); break;
	default:
		world_set_strategy(
		    world, (int)world_draw(world, world->may_surge ? STRATEGIES : SAFE_STRATEGIES));
		faults[STRATEGY_CHANGED]++;
	}
}

static void trouble_controller(struct simulation *simulation, struct controller *controller)
{
	switch (world_draw(&simulation->world, 6)) {
	case 0:
	case 1:
		simulation->faults[RELIST]++;
		relist(simulation, controller);
		break;
	case 2:
	case 3:
		simulation->faults[KILLED]++;
		forget(controller);
		relist(simulation, controller);
		if (&simulation->controllers[simulation->leader] == controller)
			change_leader(simulation);
		break;
	case 4:
		simulation->faults[FROZEN]++;
		simulation->controllers[simulation->leader].is_frozen = true;
		change_leader(simulation);
		break;
	default: controller->is_frozen = false; break; /* it thaws, and finds out */
	}
}

static void hear_some(struct simulation *simulation, struct controller *controller)
{
	struct world *world = &simulation->world;

	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		size_t at = controller->cache.positions[kind];

		if (world_chance(world, 0.7))
			hear(simulation, controller, (enum entry_kind)kind,
			    at + world_draw(world, world->log_len - at + 1));
	}
}

static void one_event(struct simulation *simulation)
{
	struct world *world = &simulation->world;
	struct controller *controller = &simulation->controllers[world_draw(world, CONTROLLERS)];
	uint64_t kind = world_draw(world, 100);

	world->now_ms += (int64_t)world_draw(world, 3000);
	if (kind < 30)
		work(simulation, controller, 1 + (int)world_draw(world, 8));
	else if (kind < 50)
		hear_some(simulation, controller);
	else if (kind < 70)
		world_kubelets(world, 0.3);
	else if (kind < 90)
		trouble_cluster(simulation);
	else if (kind < 99)
		trouble_controller(simulation, controller);
	else
		expire(simulation);
}

/* Property 7: a template that goes and comes back before anything was done for it takes no pod. */
static void check_rollback(struct simulation *simulation)
{
	struct controller *controller = &simulation->controllers[simulation->leader];
	int template = simulation->world.template_index;

	world_set_template(&simulation->world, (template + 1) % TEMPLATES);
	world_set_template(&simulation->world, template);
	catch_up(simulation, controller);
	begin_sync(simulation, controller);
	HOLDS(simulation, controller->step_count == 0, "going back and forth makes %zu writes",
	    controller->step_count);
}

static bool is_converged(struct simulation *simulation)
{
	static struct arrays arrays;
	struct controller *controller = &simulation->controllers[simulation->leader];
	struct view view = view_of(simulation, controller, &arrays);
	struct set_status status;

	if (!is_current(simulation, controller) || controller->step_count != 0)
		return false;
	decide_status(&view, controller->hash, true, &status);
	return status.current == status.desired && status.ready == status.desired &&
	       (status.updated == status.desired || view.set->strategy == ON_DELETE);
}

/* Properties 2 and 4. */
static void come_to_rest(struct simulation *simulation)
{
	struct controller *controller = &simulation->controllers[simulation->leader];
	int rounds = 0;

	simulation->is_quiet = true;
	controller->is_frozen = false;
	while (rounds++ < QUIET_ROUNDS) {
		simulation->world.now_ms += rounds % 20 == 0 ? EXPECTATION_TIMEOUT_MS + 1000 : 1000;
		world_kubelets(&simulation->world, 1);
		catch_up(simulation, controller);
		work(simulation, controller, 1000);
		if (is_converged(simulation))
			break;
	}
	HOLDS(simulation, rounds <= QUIET_ROUNDS, "it does not come to rest");
	if (complaint == NULL)
		check_rollback(simulation);
}

static bool run_seed(uint64_t seed, bool is_traced, uint64_t *faults, uint64_t *writes)
{
	struct simulation *simulation = x_new(simulation);

	complaint = NULL;
	simulation->seed = seed;
	simulation->is_traced = is_traced;
	simulation->faults = faults;
	world_init(&simulation->world, seed, seed % 2 != 0, NODES);
	for (int i = 0; i < CONTROLLERS; i++) {
		forget(&simulation->controllers[i]);
		relist(simulation, &simulation->controllers[i]);
	}
	for (int i = 0; i < EVENTS && complaint == NULL; i++)
		one_event(simulation);
	if (complaint == NULL)
		come_to_rest(simulation);
	*writes += simulation->writes;
	for (int i = 0; i < CONTROLLERS; i++) {
		expectations_free(simulation->controllers[i].expectations);
		retry_table_free(simulation->controllers[i].retries);
		free(simulation->controllers[i].steps);
	}
	world_release(&simulation->world);
	free(simulation);
	return complaint == NULL;
}

static uint64_t default_seeds(void)
{
	const char *wanted = getenv("DRAVE_SEEDS"), *sanitized = getenv("DRAVE_SANITIZED");

	if (wanted != NULL && wanted[0] != '\0')
		return strtoull(wanted, NULL, 10);
	return sanitized != NULL && sanitized[0] != '\0' ? DEFAULT_SEEDS / 10 : DEFAULT_SEEDS;
}

static int report(uint64_t seeds, uint64_t failed, uint64_t writes, const uint64_t *faults)
{
	int missing = 0;

	printf("%" PRIu64 " seeds, %d events each on %d nodes, %" PRIu64 " writes, %" PRIu64 " failed\n",
	    seeds, EVENTS, NODES, writes, failed);
	for (int i = 0; i < FAULT_COUNT; i++) {
		printf("  %-24s %" PRIu64 "\n", fault_names[i], faults[i]);
		missing += faults[i] == 0;
	}
	if (missing != 0 && seeds >= 100)
		printf("%d kinds of fault never struck\n", missing);
	return failed != 0 || (missing != 0 && seeds >= 100) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
	    {"seed", required_argument, NULL, 's'}, {"trace", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	uint64_t faults[FAULT_COUNT] = {0}, seeds = default_seeds(), first = 0, failed = 0, writes = 0;
	bool is_traced = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'n': seeds = strtoull(optarg, NULL, 10); break;
		case 's':
			first = strtoull(optarg, NULL, 10);
			seeds = 1;
			break;
		case 't': is_traced = true; break;
		default: fprintf(stderr, "usage: simulator [--seeds N] [--seed S] [--trace]\n"); return 64;
		}
	}
	world_setup();
	for (uint64_t seed = first; seed < first + seeds && failed < 10; seed++)
		failed += !run_seed(seed, is_traced, faults, &writes);
	world_teardown();
	return report(seeds, failed, writes, faults);
}
