#include "comm/mpi_support.h"

#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/log.h"

namespace breakeven {
namespace {

std::atomic<int> num_open_communicators{0};

constexpr std::chrono::seconds kAbortPatience{10};

}  // namespace

void CheckMpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING + 1] = "unknown error";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::kCommunication, std::string(call) + " failed: " + text);
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
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, exit_code);
  ::_exit(exit_code);
}

}  // namespace breakeven
