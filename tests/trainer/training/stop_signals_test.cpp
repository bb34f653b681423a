// Pure.
#include "trainer/stop_signals.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <string>

namespace breakeven {
namespace {

int former_calls = 0;
void Former(int) { ++former_calls; }

TEST(StopSignals, SetAFlagAndNothingElse) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const StopSignals signals;
    EXPECT_FALSE(signals.requested()) << "a new run starts without the former one's signal";
    ::raise(signal);
    EXPECT_TRUE(signals.requested());
    ::raise(signal);  // a second one neither ends the process nor changes anything
    EXPECT_EQ(std::string(signals.name()), std::string("SIG") + ::sigabbrev_np(signal));
  }
}

TEST(StopSignals, FormerHandlersComeBackWithTheLastUser) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = Former;
  ::sigaction(SIGUSR1, &action, &before);
  {
    const StopSignals first;
    {
      const StopSignals second;
      ::raise(SIGUSR1);
      EXPECT_TRUE(first.requested()) << "threads of a process share the flag";
    }
    ::raise(SIGUSR1);
    EXPECT_EQ(former_calls, 0);
  }
  ::raise(SIGUSR1);
  EXPECT_EQ(former_calls, 1);
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace breakeven
