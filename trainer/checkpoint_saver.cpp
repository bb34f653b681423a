#include "trainer/checkpoint_saver.h"

#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/process_resources.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

constexpr int64_t kFloatBytes = SizeOf(DType::kFloat32);

}  // namespace

CheckpointSaver::~CheckpointSaver() {
  if (thread_.joinable()) thread_.join();
}

std::vector<HeldStretch> CheckpointSaver::OwnMoments() const {
  const AdamW& optimizer = *session_.optimizer;
  std::vector<HeldStretch> stretches;
  if (session_.inputs.shard) {
    const std::vector<FlatRange>& shard = optimizer.shard();
    for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
      for (const ShardPiece& piece : IntersectShard(shard, shard)) {
        stretches.push_back(
            {{moment, piece.range},
             optimizer.moment(moment).narrow(0, piece.compact_begin, piece.range.size())});
      }
    }
    return stretches;
  }
  const World& world = session_.world;
  const bool shares = ranks_share_folder();
  if (!shares && !world.is_root()) return stretches;
  for (const MomentStretch& stretch :
       DealMoments(session_.storage.num_elements(), shares ? world.rank() : 0,
                   shares ? world.world_size() : 1)) {
    stretches.push_back(
        {stretch,
         optimizer.moment(stretch.moment).narrow(0, stretch.range.begin, stretch.range.size())});
  }
  return stretches;
}

int64_t CheckpointSaver::CopyElements() const {
  const int64_t num_elements = session_.storage.num_elements();
  const bool is_root = session_.world.is_root();
  if (!ranks_share_folder()) return is_root ? 3 * num_elements : 0;
  int64_t elements = is_root ? num_elements : 0;
  for (const HeldStretch& held : OwnMoments()) elements += held.values.numel();
  return elements;
}

// An optional copy must not be what the kernel ends a job for.
bool CheckpointSaver::HaveRoom() {
  if (have_room_.has_value()) return *have_room_;
  Control& control = *session_.world.control;
  const int64_t wanted =
      control.AllReduce(CopyElements(), ReduceOp::kMax) * kFloatBytes * control.local_size();
  const int64_t available = AvailableMemoryBytes();
  const int64_t has_room = available == 0 || wanted < available ? 1 : 0;
  have_room_ = control.AllReduce(has_room, ReduceOp::kMin) != 0;
  if (!*have_room_ && session_.world.is_root()) {
    LogWarning("checkpoint.asynchronous: a host has no room for a copy of weights and moments (" +
               FormatCount(wanted >> 20) + " MiB for the ranks of one, " +
               FormatCount(available >> 20) +
               " MiB available on this one); training waits while checkpoints are written");
  }
  return *have_room_;
}

at::Tensor CheckpointSaver::Copied(const at::Tensor& values) {
  at::Tensor copy = at::from_blob(memory_.get() + used_elements_, values.sizes(), at::kFloat);
  BE_CHECK(used_elements_ + values.numel() <= memory_elements_, "the copy's memory is too small");
  used_elements_ += values.numel();
  copy.copy_(values);
  return copy;
}

// `copied`: training may go on. Otherwise views, on a GPU copies of this call's own.
CheckpointPart CheckpointSaver::CollectPart(bool copied) {
  const World& world = session_.world;
  const int64_t num_elements = session_.storage.num_elements();
  const bool gathers = session_.inputs.shard && !ranks_share_folder();
  copied = copied || gathers;  // the gradient buffer holds one moment at a time
  CheckpointPart part;
  part.index = world.rank();
  part.num_parts = ranks_share_folder() ? world.world_size() : 1;
  if (world.is_root()) part.parameters_P = session_.storage.parameters_P.detach();
  if (!gathers) part.moments = OwnMoments();
  if (copied && memory_ == nullptr) {
    memory_elements_ = CopyElements();
    memory_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(memory_elements_));
  }
  used_elements_ = 0;
  const auto hold = [&](at::Tensor& values) { values = copied ? Copied(values) : OnHost(values); };
  if (part.parameters_P.defined()) hold(part.parameters_P);
  for (HeldStretch& held : part.moments) hold(held.values);
  if (!gathers) return part;
  for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
    const at::Tensor& whole_P = session_.WholeMoment(moment);
    if (world.is_root()) part.moments.push_back({{moment, {0, num_elements}}, Copied(whole_P)});
  }
  return part;
}

void CheckpointSaver::Run(std::function<void()> work) {
  ready_ = false;
  error_ = nullptr;
  const auto guarded = [this, work = std::move(work)] {
    try {
      work();
    } catch (...) {
      error_ = std::current_exception();
    }
    ready_ = true;
  };
  if (!in_background_) return guarded();
  thread_ = std::thread([this, guarded] {
    SetThreadFaultRank(session_.world.rank());
    guarded();
  });
}

bool CheckpointSaver::Begin(const TrainingState& state, bool in_background) {
  BE_CHECK(!under_way(), "two saves at once");
  watch_ = Stopwatch();
  CheckWeightsOverRanks(session_);
  state_ = state;
  in_background_ = in_background && HaveRoom();
  records_.clear();
  phase_ = Phase::kWriting;
  const bool writes = ranks_share_folder() || session_.world.is_root();
  Run([this, writes, part = CollectPart(in_background_)] {
    if (!writes) return;
    records_ = WritePart(session_.config.output, state_.step, *session_.model, session_.storage,
                         session_.companions, part);
  });
  stall_seconds_ = watch_.Seconds();
  return in_background_;
}

void CheckpointSaver::Join() {
  if (thread_.joinable()) thread_.join();
  const std::exception_ptr error = std::exchange(error_, nullptr);
  try {
    RunTogether(*session_.world.control, /*root_only=*/false, [&] {
      if (error != nullptr) std::rethrow_exception(error);
    });
  } catch (...) {  // no rank writes any more
    phase_ = Phase::kIdle;
    if (session_.world.is_root()) RemoveUnfinished(session_.config.output, state_.step);
    throw;
  }
}

FileRecords CheckpointSaver::GatherRecords() {
  FileRecords all;
  for (const std::string& text : session_.world.control->AllGather(FormatRecords(records_))) {
    all.merge(ParseRecords(text));
  }
  return all;
}

void CheckpointSaver::Commit(const FileRecords& files) {
  const TrainConfig& config = session_.config;
  hash_ = CommitCheckpoint(config.output, state_, files);
  DeleteOldCheckpoints(config.output, config.checkpoint.keep_last,
                       config.checkpoint.keep_best ? state_.best_step : -1);
}

std::optional<SavedCheckpoint> CheckpointSaver::Advance() {
  const Stopwatch watch;
  Join();
  if (phase_ == Phase::kWriting) {
    phase_ = Phase::kCommitting;
    const FileRecords files = GatherRecords();
    if (session_.world.is_root()) {
      Run([this, files] { Commit(files); });
    }
    stall_seconds_ += watch.Seconds();
    return std::nullopt;
  }
  phase_ = Phase::kIdle;
  session_.world.control->Broadcast(hash_, /*root=*/0);
  stall_seconds_ += watch.Seconds();
  return SavedCheckpoint{state_.step, hash_, watch_.Seconds(), stall_seconds_};
}

std::optional<SavedCheckpoint> CheckpointSaver::Finish() {
  std::optional<SavedCheckpoint> saved;
  while (under_way()) saved = Advance();
  return saved;
}

}  // namespace breakeven
