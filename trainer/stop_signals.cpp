// Pure.
#include "trainer/stop_signals.h"

#include <signal.h>

#include <array>
#include <mutex>

namespace breakeven {
namespace {

constexpr std::array<int, 3> kSignals = {SIGTERM, SIGINT, SIGUSR1};

volatile sig_atomic_t first_signal = 0;
std::mutex users_mutex;
int num_users = 0;
std::array<struct sigaction, kSignals.size()> former_actions;

extern "C" void NoteSignal(int signal) {
  if (first_signal == 0) first_signal = signal;
}

}  // namespace

StopSignals::StopSignals() {
  const std::lock_guard lock(users_mutex);
  if (num_users++ > 0) return;
  first_signal = 0;
  struct sigaction action = {};
  action.sa_handler = NoteSignal;
  action.sa_flags = SA_RESTART;  // a write of a checkpoint goes on as if nothing had come
  ::sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &former_actions[i]);
  }
}

StopSignals::~StopSignals() {
  const std::lock_guard lock(users_mutex);
  if (--num_users > 0) return;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &former_actions[i], nullptr);
  }
}

bool StopSignals::requested() const { return first_signal != 0; }

const char* StopSignals::name() const {
  switch (first_signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "";
  }
}

}  // namespace breakeven
