#include "comm/mpi_support.h"

#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/world.h"

namespace breakeven {
namespace {

std::atomic<int> num_open_communicators{0};

constexpr std::chrono::seconds kAbortPatience{10};

bool IsMpiRunning() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

// "rank 1 of 4 on node03"
std::string Self() {
  const std::string host = DescribeProcess().host;
  if (!IsMpiRunning()) return "a process on " + host + ", where MPI does not run,";
  int rank = 0;
  int world_size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  return "rank " + std::to_string(rank) + " of " + std::to_string(world_size) + " on " + host;
}

// "DoBroadcast" of "virtual void breakeven::{anonymous}::MpiControl::DoBroadcast(std::string&, int)".
std::string_view ShortName(std::string_view function) {
  constexpr std::string_view kUnnamed = "(anonymous namespace)::";  // clang's {anonymous}
  size_t end = function.find('(');
  while (end != std::string_view::npos && function.substr(end).starts_with(kUnnamed)) {
    end = function.find('(', end + 1);
  }
  function = function.substr(0, end);
  const size_t begin = function.find_last_of(" :");
  return begin == std::string_view::npos ? function : function.substr(begin + 1);
}

}  // namespace

void CheckMpi(int code, const char* call, std::source_location place) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING + 1] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw TransportError(
      std::string(call) + " of " + Self() + " failed with '" + text + "', expected success (" +
          std::string(ShortName(place.function_name())) + ", " +
          SiteText(place.file_name(), place.line()) + ")",
      "Look for what another rank or the launcher said before: a rank that has ended, a network "
      "that is gone, memory or open files used up. Mend that and give the same command again.");
}

int NumOpenMpiCommunicators() { return num_open_communicators; }
void CountOpenMpiCommunicator(int change) { num_open_communicators += change; }

void AbortJob(int exit_code, std::string_view reason) noexcept {
  if (exit_code < 1 || exit_code > 255) exit_code = static_cast<int>(ErrorKind::kInternal);
  try {
    if (!reason.empty()) LogError(reason);
    // MPI_Abort talks to the launcher, which may be what failed.
    std::thread([exit_code] {
      std::this_thread::sleep_for(kAbortPatience);
      ::_exit(exit_code);
    }).detach();
  } catch (...) {
    // Out of memory or threads: the abort itself matters more.
  }
  if (IsMpiRunning()) MPI_Abort(MPI_COMM_WORLD, exit_code);
  ::_exit(exit_code);
}

}  // namespace breakeven
