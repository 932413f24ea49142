/* Simulator.  Three controllers with caches of their own over one simulated API server, and everything that
 * can go wrong, drawn from a seed (placement properties 1 to 7).
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
#include "tests/sim/simulation.h"

#define NODES         20
#define EVENTS        220
#define QUIET_ROUNDS  400
#define DEFAULT_SEEDS 10000

static const char *const fault_names[FAULT_COUNT] = {"stale sync", "event twice", "relist", "409", "500",
    "429", "answer lost, done", "answer lost, not done", "killed", "frozen", "deposed, refused",
    "leader changed", "node added", "node removed", "tainted", "cordoned", "relabelled", "pod failed",
    "pod evicted", "pod unready", "user deleted", "template changed", "rolled back", "strategy changed",
    "expectation expired", "name taken", "delete saved by GET", "third one leads", "ready, not yet available",
    "pod orphaned", "orphan adopted", "pod no longer matches", "pod released", "name of a stranger",
    "revision doubled", "double deleted", "revision orphaned", "revision adopted"};

/* ---- what happens -------------------------------------------------------------------------------------- */

static void work(struct simulation *simulation, struct controller *controller, int most)
{
	if (controller->is_frozen)
		return;
	if (controller->next_step == controller->step_count &&
	    &simulation->controllers[simulation->leader] == controller)
		actor_begin_sync(simulation, controller);
	while (most-- > 0 && controller->next_step < controller->step_count)
		actor_do_step(simulation, controller);
}

/* The lease has run out: another one leads, after a consistent list (P-7). */
static void change_leader(struct simulation *simulation)
{
	simulation->faults[LEADER_CHANGED]++;
	simulation->leader =
	    (simulation->leader + 1 + (int)world_draw(&simulation->world, CONTROLLERS - 1)) % CONTROLLERS;
	simulation->faults[THIRD_LED] += simulation->leader == 2;
	simulation->controllers[simulation->leader].is_frozen = false;
	actor_relist(simulation, &simulation->controllers[simulation->leader]);
	actor_forget(&simulation->controllers[simulation->leader]);
}

static void expire(struct simulation *simulation)
{
	simulation->faults[EXPIRED]++;
	simulation->world.now_ms += EXPECTATION_TIMEOUT_MS + 1000;
	for (int i = 0; i < CONTROLLERS;
	     i++) /* no cache lags for minutes: a watch that is silent for so long is ended */
		actor_relist(simulation, &simulation->controllers[i]);
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

	switch (world_draw(world, 16)) {
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
	case 11: faults[POD_ORPHANED] += world_orphan_pod(world); break;
	case 12: faults[POD_UNMATCHED] += world_unmatch_pod(world); break;
	case 13: faults[REVISION_DOUBLED] += world_double_revision(world); break;
	case 14: faults[REVISION_ORPHANED] += world_orphan_revision(world); break;
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
		actor_relist(simulation, controller);
		break;
	case 2:
	case 3:
		simulation->faults[KILLED]++;
		actor_forget(controller);
		actor_relist(simulation, controller);
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
			actor_hear(simulation, controller, (enum entry_kind)kind,
			    at + world_draw(world, world->log_len - at + 1));
	}
}

static void one_event(struct simulation *simulation)
{
	struct world *world = &simulation->world;
	struct controller *controller = &simulation->controllers[world_draw(world, CONTROLLERS)];
	uint64_t kind = world_draw(world, 100);

	world->now_ms += (int64_t)world_draw(world, 3000);
	world_note_available(world);
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
	actor_catch_up(simulation, controller);
	actor_begin_sync(simulation, controller);
	HOLDS(simulation, controller->step_count == 0, "going back and forth makes %zu writes",
	    controller->step_count);
}

static bool is_converged(struct simulation *simulation)
{
	static struct arrays arrays;
	struct controller *controller = &simulation->controllers[simulation->leader];
	struct view view = actor_view(simulation, controller, &arrays);
	struct set_status status;

	if (!actor_is_current(simulation, controller) || controller->step_count != 0)
		return false;
	decide_status(&view, controller->hash, true, &status);
	return status.current == status.desired && status.available == status.desired &&
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
		simulation->world.now_ms += rounds % 20 == 0 ? EXPECTATION_TIMEOUT_MS + 1000 : 3000;
		world_kubelets(&simulation->world, 1);
		actor_catch_up(simulation, controller);
		work(simulation, controller, 1000);
		if (is_converged(simulation))
			break;
	}
	HOLDS(simulation, rounds <= QUIET_ROUNDS, "it does not come to rest");
	HOLDS(simulation, !world_has_leftovers(&simulation->world),
	    "orphans, or pods that do not match, are left");
	if (simulation->complaint == NULL)
		check_rollback(simulation);
}

static bool run_seed(uint64_t seed, bool is_traced, uint64_t *faults, uint64_t *writes)
{
	struct simulation *simulation = x_new(simulation);
	bool is_well;

	simulation->seed = seed;
	simulation->is_traced = is_traced;
	simulation->faults = faults;
	world_init(&simulation->world, seed, seed % 2 != 0, NODES);
	for (int i = 0; i < CONTROLLERS; i++) {
		actor_forget(&simulation->controllers[i]);
		actor_relist(simulation, &simulation->controllers[i]);
	}
	for (int i = 0; i < EVENTS && simulation->complaint == NULL; i++)
		one_event(simulation);
	if (simulation->complaint == NULL)
		come_to_rest(simulation);
	*writes += simulation->writes;
	for (int i = 0; i < CONTROLLERS; i++) {
		expectations_free(simulation->controllers[i].expectations);
		retry_table_free(simulation->controllers[i].retries);
		free(simulation->controllers[i].steps);
	}
	is_well = simulation->complaint == NULL;
	world_release(&simulation->world);
	free(simulation);
	return is_well;
}

static uint64_t default_seeds(void)
{
	const char *wanted = getenv("DRAVE_SEEDS"), *sanitized = getenv("DRAVE_SANITIZED");

	if (wanted != NULL && wanted[0] != '\0')
		return strtoull(wanted, NULL, 10);
	return sanitized != NULL && sanitized[0] != '\0' ? DEFAULT_SEEDS / 10 : DEFAULT_SEEDS;
}

/* The rarest kind strikes once in some 800 seeds: only a full run has to have them all. */
static int report(uint64_t seeds, uint64_t failed, uint64_t writes, const uint64_t *faults)
{
	bool is_full = seeds >= DEFAULT_SEEDS;
	int missing = 0;

	printf("%" PRIu64 " seeds, %d events each on %d nodes, %" PRIu64 " writes, %" PRIu64 " failed\n",
	    seeds, EVENTS, NODES, writes, failed);
	for (int i = 0; i < FAULT_COUNT; i++) {
		printf("  %-24s %" PRIu64 "\n", fault_names[i], faults[i]);
		missing += faults[i] == 0;
	}
	if (missing != 0 && is_full)
		printf("%d kinds of fault never struck\n", missing);
	return failed != 0 || (missing != 0 && is_full) ? EXIT_FAILURE : EXIT_SUCCESS;
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
