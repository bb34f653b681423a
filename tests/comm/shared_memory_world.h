// Worlds of the shared_memory_ back end on ranks that are threads: the segments are plain memory, all else is what processes
// run, so ThreadSanitizer sees it.
#ifndef BREAKEVEN_TESTS_COMM_SHARED_MEMORY_WORLD_H_
#define BREAKEVEN_TESTS_COMM_SHARED_MEMORY_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/shared_memory_communicator.h"
#include "comm/thread_communicator.h"
#include "comm/thread_control.h"
#include "comm/thread_hub.h"
#include "comm/world.h"

namespace breakeven {

struct SharedMemoryWorldOptions {
  std::vector<int> node_of = {};  // by rank; empty: one node
  std::vector<SegmentSource> sources = {SegmentSource::kProcess};
  double timeout_seconds = 60;
  std::function<void(double, const std::string&)> on_wait = {};
};

// As RunThreadWorld, with the data plane replaced.
inline void RunSharedMemoryWorld(int world_size, const SharedMemoryWorldOptions& options,
                                 const std::function<void(World&)>& body) {
  NodeMap nodes{options.node_of};
  if (nodes.node_of.empty()) nodes.node_of.assign(static_cast<size_t>(world_size), 0);
  const int num_nodes = nodes.num_nodes();
  const auto control = std::make_shared<ThreadHub>(world_size);
  const auto flat = std::make_shared<ThreadHub>(world_size);
  std::vector<std::shared_ptr<ThreadHub>> hubs = {control, flat};
  for (int place = 0; place < nodes.SmallestNode(); ++place) {
    hubs.push_back(std::make_shared<ThreadHub>(num_nodes));
  }
  RunThreadWorld(world_size, [&](World& world) {
    const int rank = world.rank();
    const int place = nodes.PlaceOf(rank);
    SharedMemorySetup setup;
    setup.control = MakeThreadControl(control, rank);
    setup.nodes = nodes;
    setup.sources = options.sources;
    setup.timeout_seconds = options.timeout_seconds;
    setup.on_wait = options.on_wait;
    if (num_nodes > 1) {
      setup.flat = MakeThreadCommunicator(flat, rank);
      if (place < nodes.SmallestNode()) {
        setup.across = MakeThreadCommunicator(hubs[static_cast<size_t>(2 + place)],
                                              nodes.node_of[static_cast<size_t>(rank)]);
      }
    }
    world.data->Close();
    try {
      world.data = MakeSharedMemoryCommunicator(std::move(setup)).communicator;
      body(world);
      world.data.reset();
    } catch (const std::exception& error) {
      world.data.reset();  // leaves: the others' waits end
      for (const auto& hub : hubs) hub->Poison(error.what());
      throw;
    }
  });
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_COMM_SHARED_MEMORY_WORLD_H_
