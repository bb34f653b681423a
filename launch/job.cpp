#include "launch/job.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/launcher_promise.h"
#include "comm/watched_world.h"

namespace breakeven {
namespace {

// Where every rank fails alike without saying so, rank 0 is faster and speaks for all: the launcher
// ends the others.
void LetRootSpeakFirst(int rank) {
  if (rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
}

std::string Sentence(const Error& error) {
  return std::string(ErrorKindName(error.kind())) + ": " + error.what();
}

}  // namespace

LaunchedAs DescribeLaunch() {
  const auto promise = ReadLauncherPromise([](const char* name) { return std::getenv(name); });
  return promise.has_value() ? LaunchedAs{promise->rank, promise->world_size} : LaunchedAs{};
}

Job::~Job() {
  // The world's back ends go before MPI does; neither communicates here.
  world_.reset();
  session_.reset();
}

void Job::Start(int* argc, char*** argv, bool use_mpi, bool has_phases) {
  if (use_mpi) {
    session_ = std::make_unique<MpiSession>(argc, argv);
    world_.emplace(session_->MakeWorld());
  } else {
    world_.emplace(MakeSingleWorld());
  }
  SetLogRank(world_->rank(), world_->world_size());
  SetFaultRank(world_->rank());
  if (use_mpi) {
    WatchMpiWorld(*world_);
  } else {
    WatchSingleWorld(*world_);
  }
  if (has_phases) world_->EnterPhase(Phase::kStartUp);
}

void Job::Finish() {
  world_->Close();
  world_.reset();
  session_.reset();
}

int Job::Fail(const Error& error) {
  if (!world_.has_value() || world_->world_size() == 1) {
    // Processes that a launcher started and MPI left alone: one of them speaks.
    const int rank = DescribeLaunch().rank;
    if (!world_.has_value() && error.on_all_ranks() && rank != 0) return error.exit_code();
    LetRootSpeakFirst(rank);
    LogError(Sentence(error));
    return error.exit_code();
  }
  if (error.on_all_ranks() || error.kind() == ErrorKind::kSavedRequeue) {
    if (world_->is_root()) LogError(Sentence(error));
    try {
      Finish();
    } catch (const std::exception& second) {
      LogWarning(std::string("while ending the job: ") + second.what());
    }
    return error.exit_code();
  }
  LetRootSpeakFirst(world_->rank());
  world_->control->Abort(error.exit_code(), Sentence(error));
  return error.exit_code();  // not reached
}

}  // namespace breakeven
