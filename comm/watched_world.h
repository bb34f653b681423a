// A world whose collectives are noted in the heartbeat of the rank, and whose watchdog ends the job when a rank hangs.
#ifndef BREAKEVEN_COMM_WATCHED_WORLD_H_
#define BREAKEVEN_COMM_WATCHED_WORLD_H_

#include <functional>
#include <memory>

#include "comm/watchdog.h"
#include "comm/watchdog_config.h"
#include "comm/world.h"

namespace breakeven {

// Makes another control plane of the same ranks, for the checks of the data plane. COLLECTIVE.
using MakeChannel = std::function<std::unique_ptr<Control>()>;

// Puts both planes behind wrappers that note every call (number, kind, bytes, caller) and starts the watchdog. The setup's rank,
// hosts and nodes are those of the world. Costs some 20 ns a collective.
void WatchWorld(World& world, WatchSetup setup, MakeChannel make_channel);

// COLLECTIVE. The same for a world of MpiSession: the page in memory that a node's ranks share, a communicator of its own
// between nodes. Where a node cannot share memory, each rank counts as a node.
void WatchMpiWorld(World& world);
// For a world of one rank without MPI.
void WatchSingleWorld(World& world);

// COLLECTIVE. Limits from now on and, with check_collectives (always in builds without NDEBUG), the contract of each collective
// checked before it runs. Nothing in a world that is not watched.
void SetWatch(World& world, const WatchdogConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WATCHED_WORLD_H_
