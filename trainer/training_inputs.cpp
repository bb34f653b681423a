#include "trainer/training_inputs.h"

#include <algorithm>
#include <set>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "trainer/config_fingerprint.h"
#include "trainer/precision.h"
#include "trainer/total_steps.h"

namespace breakeven {
namespace {

// Every key that is a path is checked by opening what it names, on every rank.
void OpenFiles(const TrainConfig& config, TrainingInputs& inputs) {
  inputs.model_config = config.model.path.empty()
                            ? ParseModelConfig(ReadFile(config.model.config), config.model.config)
                            : ReadModelConfig(config.model.path);
  inputs.tokenizer_folder =
      config.model.tokenizer.empty() ? config.model.path : config.model.tokenizer;
  if (!inputs.tokenizer_folder.empty()) {
    inputs.tokenizer_fingerprint = TokenizerFingerprint(inputs.tokenizer_folder);
  }
  inputs.train = TokenDataset::Open(config.data);
  if (!config.validation.data.empty()) {
    inputs.validation = TokenDataset::Open(config.validation.data);
  }
}

void CheckDataset(const TokenDataset& dataset, const TrainingInputs& inputs) {
  const TokenDatasetInfo& info = dataset.info();
  if (!inputs.tokenizer_fingerprint.empty() &&
      info.tokenizer_fingerprint != inputs.tokenizer_fingerprint) {
    throw Error(ErrorKind::kBadData,
                dataset.path() + ": was made with the tokenizer of fingerprint " +
                    info.tokenizer_fingerprint + ", the model's tokenizer in " +
                    inputs.tokenizer_folder + " has fingerprint " + inputs.tokenizer_fingerprint +
                    ". Prepare the data with this tokenizer.");
  }
  if (info.vocab_size > inputs.model_config.vocab_size) {
    throw Error(ErrorKind::kBadData, dataset.path() + ": token ids go up to " +
                                         std::to_string(info.vocab_size - 1) +
                                         ", the model's vocabulary has only " +
                                         std::to_string(inputs.model_config.vocab_size) +
                                         " rows. Prepare the data with the model's own tokenizer.");
  }
  const int64_t limit = inputs.model_config.max_positions;
  for (int64_t example = 0; example < dataset.num_examples(); ++example) {
    if (dataset.example_tokens(example) > limit) {
      throw Error(ErrorKind::kBadData,
                  dataset.path() + ": example " + std::to_string(example) + " (source line " +
                      std::to_string(dataset.example_id(example)) + ") has " +
                      std::to_string(dataset.example_tokens(example)) +
                      " tokens, the model takes at most " + std::to_string(limit) +
                      ". Prepare the data with a smaller max_tokens.");
    }
  }
}

void CheckFiles(const TrainConfig& config, const TrainingInputs& inputs, int world_size) {
  CheckDataset(*inputs.train, inputs);
  if (inputs.validation != nullptr) CheckDataset(*inputs.validation, inputs);
  if (inputs.train->num_examples() < world_size) {
    throw Error(ErrorKind::kUsage,
                config.data + ": " + std::to_string(inputs.train->num_examples()) +
                    " examples for " + std::to_string(world_size) +
                    " ranks. Start at most as many ranks as there are examples.");
  }
}

void CompareOverRanks(const TrainingInputs& inputs, World& world) {
  Control& control = *world.control;
  CheckSameOnAllRanks(control, ErrorKind::kUsage, "the config", inputs.config_hash);
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "the model's config.json",
                      inputs.model_config.raw_json);
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "the tokenizer", inputs.tokenizer_fingerprint);
  CheckSameOnAllRanks(control, ErrorKind::kBadData, "the train dataset",
                      inputs.train->info().content_hash);
  CheckSameOnAllRanks(
      control, ErrorKind::kBadData, "the validation dataset",
      inputs.validation == nullptr ? "none" : inputs.validation->info().content_hash);
}

void WarnAboutTemplates(const TrainingInputs& inputs) {
  if (inputs.validation == nullptr) return;
  const std::string& train = inputs.train->info().template_fingerprint;
  const std::string& dev = inputs.validation->info().template_fingerprint;
  if (train != dev) {
    LogWarning("the validation data was rendered with another template (" + dev +
               ") than the train data (" + train + "): its loss measures another task");
  }
}

std::string DescribeDevice(const Device& device) {
  if (!device.is_cuda()) return "cpu";
  const std::vector<CudaDevice> devices = VisibleCudaDevices().devices;
  return "cuda:" + std::to_string(device.index) + " " +
         devices.at(static_cast<size_t>(device.index)).name;
}

std::string NamesOfCudaDevices() {
  std::string names;
  for (const CudaDevice& device : VisibleCudaDevices().devices) {
    names += (names.empty() ? "" : ", ") + device.name;
  }
  return names;
}

}  // namespace

ExampleSizes SizesOf(const TokenDataset& dataset) {
  return {dataset.num_examples(), [&dataset](int64_t i) { return dataset.example_tokens(i); },
          [&dataset](int64_t i) { return dataset.example_targets(i); }};
}

TrainingInputs OpenTrainingInputs(const TrainConfig& config, World& world) {
  TrainingInputs inputs;
  Control& control = *world.control;
  RunTogether(control, /*root_only=*/false, [&] {
    config.Validate();
    inputs.config_hash = ConfigFingerprint(config);
    inputs.settings_hash = SettingsFingerprint(config);
    inputs.plan_hash = PlanFingerprint(config);
    OpenFiles(config, inputs);
  });
  CompareOverRanks(inputs, world);
  RunTogether(control, /*root_only=*/false,
              [&] { CheckFiles(config, inputs, world.world_size()); });
  if (world.is_root()) WarnAboutTemplates(inputs);
  inputs.planner =
      std::make_unique<EpochPlanner>(SizesOf(*inputs.train), config.batching,
                                     static_cast<uint64_t>(config.seed), world.world_size());
  inputs.total_steps = CountTotalSteps(config.max_steps, config.epochs, [&](int64_t epoch) {
    return inputs.planner->num_steps(epoch);
  });
  RunTogether(control, /*root_only=*/false,
              [&] { config.schedule.CheckSteps(inputs.total_steps); });
  inputs.shares_folder = config.preflight.shared_output || world.world_size() == 1;
  // Within a node it only saves. Over several the weights travel as well, which nobody has measured; and
  // where rank 0 has to save for all, it would gather all moments first.
  inputs.shard =
      config.optimizer.shard.value_or(!world.device.is_cuda() && world.world_size() > 1 &&
                                      control.num_nodes() == 1 && inputs.shares_folder);
  inputs.places = GatherPlaces(*world.control);
  inputs.threads = RankThreads(config.threads, inputs.places, static_cast<size_t>(world.rank()));
  inputs.precision =
      AgreeOnPrecision(config.precision, config.force_bfloat16, DescribeBFloat16(world), control);
  return inputs;
}

std::string RankTable(World& world, const TrainingInputs& inputs) {
  const Control& control = *world.control;
  const std::string device = DescribeDevice(world.device);
  const std::vector<std::string> local_ranks =
      world.control->AllGather(std::to_string(control.local_rank()));
  const std::vector<std::string> devices = world.control->AllGather(device);
  const std::vector<std::string> threads = world.control->AllGather(std::to_string(inputs.threads));
  std::vector<std::vector<std::string>> rows = {
      {"rank", "host", "local_rank", "device", "threads", "cpus"}};
  for (size_t rank = 0; rank < devices.size(); ++rank) {
    rows.push_back({std::to_string(rank), inputs.places[rank].host, local_ranks[rank],
                    devices[rank], threads[rank], inputs.places[rank].cpus});
  }
  std::string table;
  for (const std::vector<std::string>& row : rows) {
    if (!table.empty()) table += '\n';
    for (size_t column = 0; column < row.size(); ++column) {
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[column].size());
      table += row[column];
      if (column + 1 < row.size()) table.append(width + 2 - row[column].size(), ' ');
    }
  }
  if (world.device.is_cuda()) return table;
  return table + UnusedDevicesNote(inputs.places, world.control->AllGather(NamesOfCudaDevices()));
}

std::string UnusedDevicesNote(const std::vector<RankPlace>& places,
                              const std::vector<std::string>& devices) {
  std::string note;
  std::set<std::string> said;
  for (size_t rank = 0; rank < devices.size(); ++rank) {
    if (devices[rank].empty() || !said.insert(places[rank].host).second) continue;
    note += "\nnot used: the GPUs of host " + places[rank].host + " (" + devices[rank] +
            "); device: auto or cuda would compute on them";
  }
  return note;
}

}  // namespace breakeven
