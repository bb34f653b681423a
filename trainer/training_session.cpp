#include "trainer/training_session.h"

#include <torch/headeronly/version.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "trainer/aten_threads.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/precision.h"
#include "trainer/preflight.h"
#include "trainer/resume_check.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

void BroadcastFlat(Communicator& data, const at::Tensor& flat_P) {
  InOrder(data, flat_P.device(),
          [&](Stream stream) { data.Broadcast(BufferOf(flat_P), /*root=*/0, stream); });
}

// In pieces, so that a GPU's weights need not find room on the host.
std::string HashOfWeights(const at::Tensor& flat_P) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  Hasher hasher;
  for (int64_t begin = 0; begin < flat_P.numel(); begin += kPiece) {
    const at::Tensor piece =
        OnHost(flat_P.narrow(0, begin, std::min(kPiece, flat_P.numel() - begin)));
    hasher.Update(piece.const_data_ptr<float>(), static_cast<size_t>(piece.nbytes()));
  }
  return hasher.Hex();
}

Recompute RecomputeOf(const std::string& activation_checkpointing) {
  if (activation_checkpointing == "full") return Recompute::kFull;
  return activation_checkpointing == "selective" ? Recompute::kSelective : Recompute::kNone;
}

// A new run beside another's checkpoints would mix two histories in one folder.
void RefuseNewerCheckpoints(const std::string& output, int64_t step, const std::string& why) {
  const std::vector<CheckpointEntry> entries = ListCheckpoints(output);
  if (entries.empty() || entries.back().step <= step) return;
  throw Error(ErrorKind::kCannotCreate,
              entries.back().path + ": is there already, and " + why +
                  ". Choose another `output`, set resume: auto to go on from it, or delete it.");
}

// COLLECTIVE. Ranks of a host may be in containers of their own.
bool AllSeeOne(Control& control, const std::string& identity) {
  const std::vector<std::string> all = control.AllGather(identity);
  return !all[0].empty() &&
         std::all_of(all.begin(), all.end(), [&](const std::string& of) { return of == all[0]; });
}

// Rank 0's decision: the checkpoint to go on from, or "".
std::string ChooseCheckpoint(const TrainConfig& config) {
  if (config.resume == "none") {
    RefuseNewerCheckpoints(config.output, -1, "resume is none");
    return "";
  }
  if (config.resume != "auto") {
    const Manifest manifest = VerifyCheckpoint(config.resume);
    RefuseNewerCheckpoints(config.output, manifest.step,
                           "resume names step " + std::to_string(manifest.step));
    return config.resume;
  }
  std::vector<std::string> problems;
  const std::optional<CheckpointEntry> found = FindNewestComplete(config.output, problems);
  for (const std::string& problem : problems)
    LogWarning("damaged checkpoint passed over: " + problem);
  if (!found.has_value() && !problems.empty()) {
    throw Error(
        ErrorKind::kBadData,
        CheckpointsFolder(config.output) +
            ": no checkpoint is whole. Choose another `output` to start anew, or restore one.");
  }
  const int64_t step = found.has_value() ? found->step : -1;
  for (const std::string& path : SetAsideDamaged(config.output, step)) {
    LogWarning("damaged checkpoint kept as " + path + "; delete it when you have looked at it");
  }
  if (!found.has_value()) return "";
  WriteLatest(config.output,
              found->step);  // a kill between rename and `latest` leaves it one behind
  return found->path;
}

}  // namespace

TrainingSession::TrainingSession(const TrainConfig& train_config, World& the_world,
                                 std::string_view resolved_yaml)
    : config(train_config),
      world(the_world),
      inputs(OpenTrainingInputs(config, world)),
      storage(*world.data, ToAten(world.device)),
      schedule(config.schedule, inputs.total_steps) {
  SetThreads(inputs.threads);
  const std::string table = RankTable(world, inputs);
  TakeRunFolder();
  LogInfo(table);
  Preflight(config, world, inputs);
  if (inputs.model_config.dropout > 0) {
    LogInfo("config.json asks for dropout; it is never applied here");
  }
  ReadState();
  WriteConfig(resolved_yaml);
  storage.product_type = ProductTypeOf(inputs.precision);
  if (inputs.shard && !world.device.is_cuda() && !AtenOnly::on()) storage.ShareWhereItCan();
  model = BuildModel(inputs.model_config, storage);
  model->set_recompute(RecomputeOf(config.activation_checkpointing));
  buckets =
      std::make_unique<GradientBuckets>(*model, storage, *world.data,
                                        BucketOptions{.bucket_bytes = config.bucket_bytes,
                                                      .last_bucket_bytes = config.last_bucket_bytes,
                                                      .shard = inputs.shard,
                                                      .communicate = config.communicate});
  optimizer = std::make_unique<AdamW>(config.optimizer, storage, buckets->shard());
  LoadModel();
  if (inputs.validation != nullptr) {
    validation_plan = PlanOnePass(SizesOf(*inputs.validation), config.batching.micro_batch_tokens);
  }
}

void TrainingSession::TakeRunFolder() {
  Control& control = *world.control;
  RunTogether(control, /*root_only=*/true, [&] {
    CreateFolders(CheckpointsFolder(config.output));
    lock = std::make_unique<FolderLock>(config.output);
    for (const std::string& path : RemoveLeftovers(config.output)) {
      LogInfo("removed what an interrupted save left: " + path);
    }
    resumed_from = ChooseCheckpoint(config);
    std::error_code ignored;
    resumed_here = fs::equivalent(fs::path(resumed_from).parent_path(),
                                  CheckpointsFolder(config.output), ignored);
    companions = ReadCompanionFiles(config.model.path, inputs.tokenizer_folder);
  });
  control.Broadcast(resumed_from, /*root=*/0);
  resumed_here = control.AllReduce(int64_t{resumed_here}, ReduceOp::kMax) != 0;  // rank 0's word
  // On another machine without this file system the console has to do.
  if (fs::is_directory(config.output)) SetLogFile(config.output + "/log.txt");
}

TrainingState TrainingSession::StateOf(const std::string& folder,
                                       const std::function<void()>& check) {
  std::string text;
  RunTogether(*world.control, /*root_only=*/true, [&] {
    check();
    text = LoadTrainingState(folder).ToJson();
  });
  world.control->Broadcast(text, /*root=*/0);
  return ParseTrainingState(text, folder);
}

void TrainingSession::ReadState() {
  TrainingState current;
  current.total_steps = inputs.total_steps;
  current.seed = config.seed;
  current.plan_hash = inputs.plan_hash;
  current.dataset_hash = inputs.train->info().content_hash;
  current.train_size = inputs.train->num_examples();
  current.tokenizer_fingerprint = inputs.train->info().tokenizer_fingerprint;
  current.template_fingerprint = inputs.train->info().template_fingerprint;
  current.config_hash = inputs.config_hash;
  current.settings_hash = inputs.settings_hash;
  current.world_size = world.world_size();
  current.threads = inputs.threads;
  current.bucket_bytes = config.bucket_bytes;
  current.precision = inputs.precision;
  current.program_version = BREAKEVEN_VERSION;
  current.libtorch_version = TORCH_VERSION;
  state = current;
  if (resumed_from.empty()) return;
  const TrainingState saved =
      StateOf(resumed_from, [&] { CheckSameModel(resumed_from, inputs.model_config); });
  if (config.precision == "auto" && saved.precision != inputs.precision) {
    // What auto meant at the start of the run holds, on this machine too.
    inputs.precision = AgreeOnPrecision(saved.precision, config.force_bfloat16,
                                        DescribeBFloat16(world), *world.control);
    current.precision = inputs.precision;
  }
  const ResumeVerdict verdict = CompareForResume(saved, current);
  if (!verdict.error.empty()) {
    throw Error(verdict.kind, resumed_from + ": " + verdict.error, /*on_all_ranks=*/true);
  }
  if (world.is_root()) {
    for (const std::string& warning : verdict.warnings) LogWarning(warning);
    LogInfo("going on from " + resumed_from + " at step " + std::to_string(saved.step) + " of " +
            std::to_string(inputs.total_steps));
  }
  state = ContinueFrom(saved, current);
}

// Behind ReadState: a resume that is refused leaves the record of what the run was.
void TrainingSession::WriteConfig(std::string_view resolved_yaml) {
  if (resolved_yaml.empty()) return;
  RunTogether(*world.control, /*root_only=*/true,
              [&] { WriteFileDurably(config.output + "/config.yaml", resolved_yaml); });
}

void TrainingSession::LoadModel() {
  if (storage.shared()) world.data->Barrier();  // nobody reads the former weights any more
  const std::string& folder = resumed_from.empty() ? config.model.path : resumed_from;
  RunTogether(*world.control, /*root_only=*/true, [&] {
    if (folder.empty()) {
      InitializeWeights(*model, static_cast<uint64_t>(config.seed));
    } else if (resumed_from.empty()) {
      VerifyModelFiles(folder, /*weights_hash=*/"");
    }
  });
  const bool by_parts = storage.shared() && AllSeeOne(*world.control, IdentifyWeights(folder));
  RunTogether(*world.control, /*root_only=*/!by_parts, [&] {
    if (folder.empty()) return;
    LoadWeights(folder, *model, by_parts ? world.rank() : 0, by_parts ? world.world_size() : 1);
  });
  if (storage.shared()) {
    RefreshCopies(storage, buckets->shard());
    world.data->Barrier();
  } else {
    BroadcastFlat(*world.data, storage.parameters_P);
    RefreshCopies(storage);
  }
  if (!resumed_from.empty()) LoadMoments();
  CheckWeightsOverRanks(*this);
}

// By way of the gradient buffer, which no step uses yet: each rank takes its shard out of it.
void TrainingSession::LoadMoments() {
  const at::Tensor& whole_P = buckets->gradient_P();
  for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
    RunTogether(*world.control, /*root_only=*/true,
                [&] { LoadMoment(resumed_from, moment, storage, whole_P); });
    BroadcastFlat(*world.data, whole_P);
    optimizer->TakeMoment(moment, whole_P);
  }
  optimizer->set_num_updates(state.num_updates);
}

void TrainingSession::RollBack(const std::string& folder) {
  TrainingState saved = StateOf(folder, [&] { VerifyCheckpoint(folder); });
  saved.rollbacks = state.rollbacks + 1;
  saved.epoch = state.epoch;
  saved.step_in_epoch = state.step_in_epoch;
  saved.tokens = state.tokens;
  saved.seconds = state.seconds;
  state = ContinueFrom(saved, state);
  resumed_from = folder;
  LoadModel();
}

const at::Tensor& TrainingSession::WholeMoment(Moment moment) {
  const at::Tensor& whole_P = buckets->gradient_P();
  optimizer->PutMoment(moment, whole_P);
  buckets->GatherShards(whole_P, /*counts=*/false);
  // Others may still read this rank's part (Communicator::StartAllGather), and what comes next fills the buffer anew: the other
  // moment, or a step's gradients.
  world.data->Barrier();
  return whole_P;
}

void CheckWeightsOverRanks(TrainingSession& session) {
  if (session.storage.shared()) return;  // there is one
  CheckSameOnAllRanks(*session.world.control, ErrorKind::kInternal,
                      "the hash of all weights at step " + std::to_string(session.state.step),
                      HashOfWeights(session.storage.parameters_P));
}

}  // namespace breakeven
