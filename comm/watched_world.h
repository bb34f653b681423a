// Pure. Puts a world under the watchdog.
#ifndef BREAKEVEN_COMM_WATCHED_WORLD_H_
#define BREAKEVEN_COMM_WATCHED_WORLD_H_

#include "comm/watchdog.h"
#include "comm/world.h"

namespace breakeven {

// Starts world.watchdog, and from now on every collective of the planes that are there is noted in the rank's heartbeat
// (OpenDataPlane adds a data plane that comes later). A world is watched once.
void WatchWorld(World& world, WatchSetup setup);

// COLLECTIVE. The same for a world of MpiSession: the heartbeats in memory that a node's ranks share, a communicator of their
// own between nodes. Where a node cannot share memory, each rank counts as a node.
void WatchMpiWorld(World& world);
// For a world of one rank without MPI.
void WatchSingleWorld(World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WATCHED_WORLD_H_
