// Pure.
#include "comm/watched_world.h"

#include <unistd.h>

#include <memory>
#include <utility>

namespace breakeven {

void WatchWorld(World& world, WatchSetup setup) {
  world.watchdog = std::make_unique<Watchdog>(std::move(setup));
  world.control->AddObserver(world.watchdog->Observer());
  if (world.data != nullptr) world.data->AddObserver(world.watchdog->Observer());
}

void WatchSingleWorld(World& world) {
  WatchSetup setup;
  setup.hosts = {DescribeProcess().host};
  setup.nodes = {0};
  setup.page = MakeLocalPage({0});
  setup.abort_job = [](int exit_code) { ::_exit(exit_code); };
  WatchWorld(world, std::move(setup));
}

}  // namespace breakeven
