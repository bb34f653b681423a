// Pure. Names, helps, limits and rules of `breakeven scale`'s config.
#include "trainer/scaling/scale_config.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "comm/base/error.h"

namespace breakeven {
namespace {

[[noreturn]] void Refuse(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

// Names stand in names of files.
void CheckName(const std::string& key, const std::string& name) {
  bool plain = !name.empty() && name[0] != '.';
  for (const char c : name) {
    plain = plain && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.');
  }
  if (plain) return;
  Refuse(key + ": the name \"" + name +
         "\" becomes part of file names; use letters, digits, - and .");
}

void CheckBatch(const std::string& key, const GlobalBatchConfig& batch) {
  if ((batch.examples > 0) != (batch.tokens > 0)) return;
  Refuse(key + ": give exactly one of " + key + ".examples and " + key + ".tokens");
}

// GPU ranks have nccl whatever is asked for, CPU ranks never have.
void CheckBackends(const std::vector<std::string>& backends, const std::string& device) {
  const bool nccl = std::find(backends.begin(), backends.end(), "nccl") != backends.end();
  if (nccl && backends.size() > 1)
    Refuse(
        "backends: nccl is of GPUs, the others of CPUs: efficiency would compare the two. Give "
        "them sweeps of their own");
  if (nccl && device == "cpu") Refuse("backends: nccl needs GPUs, and train.device is cpu");
  const bool cpu = std::any_of(backends.begin(), backends.end(), [](const std::string& backend) {
    return backend == "shared_memory" || backend == "mpi";
  });
  if (cpu && device == "cuda")
    Refuse("backends: train.device is cuda, and GPU ranks have nccl. Give backends: nccl");
}

template <typename T>
void CheckList(const std::string& key, const std::vector<T>& values) {
  if (values.empty()) Refuse(key + ": the list is empty");
  if (std::set<T>(values.begin(), values.end()).size() != values.size())
    Refuse(key + ": an entry stands there twice");
}

}  // namespace

void NetworkConfig::VisitFields(FieldVisitor& v) {
  v.Visit(
      {"launcher",
       "program and arguments in place of the sweep's `mpirun`: to start it on another machine; "
       "empty = the sweep's"},
      launcher);
  v.Visit({"mpirun", "more arguments of mpirun: --hostfile and the like"}, mpirun);
  v.Visit({"ranks_per_node", "0 = all ranks on one node", AtLeast(0)}, ranks_per_node);
  v.Visit({"nodes_per_machine",
           "above 1: nodes of this network are parts of one machine and share its `cores`, as "
           "network namespaces do",
           AtLeast(1)},
          nodes_per_machine);
}

void SlurmConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"options", "of sbatch, one each: --partition=gpu", {}, false}, options);
  v.Visit({"lines", "of the script before breakeven is started: modules, variables", {}, false},
          lines);
  v.Visit({"at_once", "array elements that may run at the same time", AtLeast(1), false}, at_once);
}

void ScaleConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"title", "of the report", {}, false}, title);
  v.Visit(
      {"output", "folder for results and report; cells that are done stay done", Required(), false},
      output);
  v.Visit({"train",
           "what every cell trains, as in `train`; model, global batch, back end, precision and "
           "output are the cell's"},
          train);
  v.Visit({"models", "by name: folders, or config.json files from scratch"}, models);
  v.Visit({"scaling", "strong = fixed global batch; weak = fixed batch of each rank",
           OneOf({"strong", "weak"})},
          scaling);
  v.Visit({"strong_batch", "of a step over all ranks"}, strong_batch);
  v.Visit({"weak_batch", "of a step for each rank"}, weak_batch);
  v.Visit(
      {"world_sizes", "numbers of ranks; the smallest is what efficiency is against", AtLeast(1)},
      world_sizes);
  v.Visit(
      {"backends", "of several ranks: nccl is of GPUs and stands alone; auto = what training takes",
       OneOf({"auto", "shared_memory", "mpi", "nccl"})},
      backends);
  v.Visit({"precisions", "of computing", OneOf({"auto", "float32", "bfloat16"})}, precisions);
  v.Visit({"networks", "ways to place ranks, by name; none = all on this node"}, networks);
  v.Visit({"repeats", "runs of each cell, in turns with all others", AtLeast(1)}, repeats);
  v.Visit({"steps", "of a run that count", AtLeast(1)}, steps);
  v.Visit({"warmup_steps", "of a run before them", AtLeast(0)}, warmup_steps);
  v.Visit({"control_batches", "also batches with and without communication in turns, 4 steps each",
           AtLeast(0)},
          control_batches);
  v.Visit({"all_reduce", "measure collectives by themselves (bench allreduce)"}, all_reduce);
  v.Visit({"quality_epochs",
           "also train this long with each cell's batch and precision and compare the losses and "
           "scores "
           "at equal tokens (train.validation, train.prompt_eval); 0 = not",
           AtLeast(0)},
          quality_epochs);
  v.Visit({"cores",
           "CPUs of a node; 0 = as the runs say that they had; with Slurm, whose elements have a "
           "part of a node, cluster.site.cores_per_node, or the machine's",
           AtLeast(0)},
          cores);
  v.Visit({"price_per_device_hour", "0 = no price", AtLeast(0), false}, price_per_device_hour);
  v.Visit({"currency", "of prices", {}, false}, currency);
  v.Visit({"confidence", "of intervals", Between(0.5, 0.999), false}, confidence);
  v.Visit({"cell_timeout_seconds", "a run that takes longer has failed", Above(0), false},
          cell_timeout_seconds);
  v.Visit({"launcher", "mpirun = run the cells here; slurm = write array jobs",
           OneOf({"mpirun", "slurm"}), false},
          launcher);
  v.Visit({"mpirun", "the program and its arguments, before -n", {}, false}, mpirun);
  v.Visit({"slurm", "array jobs"}, slurm);
  v.Visit({"forecast", "what other clusters would do"}, forecast);
}

void ScaleConfig::Validate() const {
  if (models.empty() && forecast.clusters.empty())
    Refuse("models: none given to measure, and forecast.clusters has none to forecast for");
  for (const auto& [name, model] : models) {
    CheckName("models", name);
    try {
      model.Validate();
    } catch (const Error& error) {
      Refuse("models." + name + ": " + error.what());
    }
  }
  for (const auto& [name, network] : networks) CheckName("networks", name);
  CheckList("scaling", scaling);
  CheckList("world_sizes", world_sizes);
  CheckList("precisions", precisions);
  CheckList("backends", backends);
  CheckBackends(backends, train.device.device);
  for (const std::string& kind : models.empty() ? std::vector<std::string>{} : scaling)
    CheckBatch(kind + "_batch", kind == "strong" ? strong_batch : weak_batch);
  if (mpirun.empty()) Refuse("mpirun: empty; its first entry is the program");
  forecast.Validate();
  CheckMeasured();
}

void ScaleConfig::CheckMeasured() const {
  for (const auto& [name, workload] : forecast.workloads) {
    if (workload.measured_model.empty() || models.count(workload.measured_model) > 0) continue;
    Refuse("forecast.workloads." + name + ".measured_model: \"" + workload.measured_model +
           "\" is no name of `models`");
  }
  for (const auto& [name, cluster] : forecast.clusters) {
    const std::string& exchange = cluster.measured_exchange;
    bool known = exchange.empty();
    for (const auto& [network, how] : Networks()) {
      for (const char* backend : {"shared_memory", "mpi", "nccl"})
        known = known || (!models.empty() && exchange == std::string(backend) + " on " + network);
    }
    if (!known)
      Refuse("forecast.clusters." + name + ".measured_exchange: \"" + exchange +
             "\" is not measured by this sweep; give BACKEND on NETWORK, \"mpi on " +
             Networks().begin()->first + "\" say, and models to measure");
  }
}

double ScaleConfig::CoresOfNode(double machine_cores, const std::string& network,
                                int64_t num_nodes) const {
  const int64_t sharing = std::min(num_nodes, Networks().at(network).nodes_per_machine);
  return machine_cores / static_cast<double>(std::max<int64_t>(1, sharing));
}

std::map<std::string, NetworkConfig> ScaleConfig::Networks() const {
  if (!networks.empty()) return networks;
  return {{"node", NetworkConfig{}}};
}

}  // namespace breakeven
