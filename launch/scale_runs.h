// The runs of a scaling sweep as child processes, and their files:
//
//   OUTPUT/cells/NAME.yaml    what it was started with
//   OUTPUT/cells/NAME.json    what it printed: there once it is done (of a training: its metrics.jsonl), written whole or not at all
//   OUTPUT/cells/NAME.log     what it said beside; NAME.failed: how it failed, until it is done
#ifndef BREAKEVEN_LAUNCH_SCALE_RUNS_H_
#define BREAKEVEN_LAUNCH_SCALE_RUNS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "launch/config_cluster.h"
#include "trainer/scaling/scaling_plan.h"
#include "trainer/scaling/scaling_table.h"

namespace breakeven {

class ScaleRuns {
 public:
  // `program`: this one. Error(kUsage) where a run was done with another config than it would have now.
  ScaleRuns(const ScaleConfig& config, std::string program);

  const std::vector<ScalingRun>& runs() const { return runs_; }
  bool IsDone(size_t run) const;
  int64_t NumDone() const;

  // Does what is not done, one run at a time. A run that fails is noted and the next one begun. Error(kSavedRequeue) at a
  // signal: what is done stays done.
  void DoAll();
  // One run; nothing, or what it failed with: its own exit code where that is one of ours, kBadData where what it printed
  // cannot be read, else kCommunication, as where it took too long: given again it may do better.
  std::optional<ErrorKind> Do(size_t run);

  // Everything that is done. Error(kBadData) where a file is damaged.
  ScalingResults Read() const;
  // What `run` is started with.
  std::vector<std::string> Command(size_t run) const;

 private:
  std::string Path(const ScalingRun& run, const std::string& ending) const;
  std::string ConfigText(const ScalingRun& run) const;
  [[noreturn]] void ThrowStopped(const std::string& signal) const;

  const ScaleConfig& config_;
  const std::string program_;
  const std::vector<ScalingRun> runs_;
};

// Writes OUTPUT/slurm/*.sh of what is not done: an array job for each repeat, number of ranks and network, so that each asks for
// the nodes that it needs; and submit.sh, which submits them one behind the other in the order of the plan: cells of different
// size take turns, as they do under mpirun. `cluster`: the config's section; its site says what `launch` takes from it too.
// `arguments`: of this command line, for the elements. Returns what to do, for the user; "" where all is done. Error(kUsage)
// where the site starts programs by words before them.
std::string WriteSlurmArrays(const ScaleConfig& config, const ClusterJobConfig& cluster,
                             const ScaleRuns& runs, const std::string& program,
                             const std::vector<std::string>& arguments);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_SCALE_RUNS_H_
