// Pure. The config of `breakeven scale`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_SCALING_SCALE_CONFIG_H_
#define BREAKEVEN_TRAINER_SCALING_SCALE_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "trainer/scaling/cluster_config.h"
#include "trainer/training_config.h"

namespace breakeven {

// One way to place ranks: on one node, over two hosts of a host file, over a link of a certain rate.
struct NetworkConfig {
  std::vector<std::string> launcher;  // in place of the sweep's `mpirun`
  std::vector<std::string> mpirun;    // more arguments for it
  int64_t ranks_per_node = 0;         // 0 = all on one
  int64_t nodes_per_machine = 1;      // > 1: nodes that share the CPUs of one: network namespaces
  void VisitFields(FieldVisitor& v);
};

struct SlurmConfig {
  std::vector<std::string> options;  // of sbatch, "--partition=gpu"
  std::vector<std::string> lines;    // of the script, before breakeven: modules, variables
  int64_t at_once = 1;               // array elements that may run together
  void VisitFields(FieldVisitor& v);
};

struct ScaleConfig {
  std::string title;
  std::string output;
  TrainConfig
      train;  // what every cell trains; model, batches, back end, precision, output are the cell's
  std::map<std::string, ModelSourceConfig> models;  // none: nothing is measured, only forecast
  std::vector<std::string> scaling = {"strong", "weak"};
  GlobalBatchConfig strong_batch;  // of a step, over all ranks
  GlobalBatchConfig weak_batch;    // of a step, for each rank
  std::vector<int64_t> world_sizes = {1, 2, 4};
  std::vector<std::string> backends = {"shared_memory", "mpi"};  // of several ranks
  std::vector<std::string> precisions = {"float32"};
  std::map<std::string, NetworkConfig> networks;  // none: one, named "node"
  int64_t repeats = 3;
  int64_t steps = 10;
  int64_t warmup_steps = 3;
  int64_t control_batches = 0;
  bool all_reduce = true;
  double quality_epochs = 0;  // > 0: also trains this long with each batch size and precision
  int64_t cores = 0;          // CPUs of a node; 0 = as the runs say
  double price_per_device_hour = 0;
  std::string currency = "USD";
  double confidence = 0.95;
  double cell_timeout_seconds = 3600;
  std::string launcher = "mpirun";  // mpirun | slurm
  std::vector<std::string> mpirun = {"mpirun", "--bind-to", "none"};
  SlurmConfig slurm;
  ForecastConfig forecast;
  void VisitFields(FieldVisitor& v);
  void Validate() const;

  std::map<std::string, NetworkConfig> Networks() const;
  // Of a node's part of a machine with so many, where a cell has `num_nodes` of them.
  double CoresOfNode(double machine_cores, const std::string& network, int64_t num_nodes) const;

 private:
  void CheckMeasured() const;  // what forecasts take from the sweep
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_SCALE_CONFIG_H_
