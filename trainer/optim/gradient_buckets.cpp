#include "trainer/optim/gradient_buckets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/timing.h"
#include "comm/device_cuda.h"
#include "trainer/autograd/element_type.h"

namespace breakeven {
namespace {

// The report takes a whole block, so that the gradient's own blocks start at a block.
constexpr int64_t kHeader = kFlatBlock;
static_assert(kFlatBlock % kNormBlock == 0 && kPieceElements % kNormBlock == 0,
              "shards and their pieces are whole norm blocks");

std::vector<FlatRange> RangesOf(const ModelStorage& storage) {
  std::vector<FlatRange> ranges;
  for (const ParameterRange& range : storage.ranges) {
    ranges.push_back({range.offset, range.offset + range.numel});
  }
  return ranges;
}

std::vector<FlatRange> Plan(const ModelStorage& storage, const BucketOptions& options,
                            int world_size) {
  constexpr int64_t kBytes = SizeOf(DType::kFloat32);
  return PlanBuckets(storage.num_elements(),
                     {.largest = options.bucket_bytes / kBytes,
                      .last = options.last_bucket_bytes / kBytes,
                      .unit = options.shard ? kFlatBlock * world_size : kFlatBlock});
}

size_t IndexOf(Model& model, const at::Tensor& tensor) {
  size_t index = 0;
  while (!model.parameters().at(index).tensor.is_same(tensor)) ++index;
  return index;
}

// The buckets that the table touches go to the end, but for the last bucket of all: it carries the
// report and stays last.
std::vector<FlatRange> TableLate(std::vector<FlatRange> plan, const ParameterRange& table) {
  if (!plan.empty()) {
    std::stable_partition(plan.begin(), plan.end() - 1, [&](const FlatRange& bucket) {
      return bucket.end <= table.offset || bucket.begin >= table.offset + table.numel;
    });
  }
  return plan;
}

}  // namespace

GradientBuckets::GradientBuckets(Model& model, const ModelStorage& storage, Communicator& data,
                                 const BucketOptions& options)
    : data_(data),
      options_(options),
      lookup_gradient_(model.lookup_gradient()),
      sink_(model.gradient_sink()),
      tied_(model.HeadWeight().is_same(model.TokenTable())),
      device_(storage.parameters_P.device()),
      memory_(AllocateFlat(data, kHeader + storage.num_elements(), device_)),
      buffer_(memory_.values),
      gradient_P_(buffer_.narrow(0, kHeader, storage.num_elements())),
      plan_(Plan(storage, options, data.world_size())),
      shard_(options.shard ? ShardRanges(plan_, data.rank(), data.world_size())
                           : std::vector<FlatRange>{{0, storage.num_elements()}}),
      token_table_(IndexOf(model, model.TokenTable())),
      table_first_(plan_, RangesOf(storage)),
      table_late_(TableLate(plan_, storage.ranges.at(token_table_)), RangesOf(storage)),
      order_(&table_late_),
      lookups_(data, storage.ranges.at(token_table_)),
      norm_(storage.num_elements()) {
  BE_CHECK(model.parameters().size() == storage.ranges.size(), "model and storage differ");
  for (size_t i = 0; i < storage.ranges.size(); ++i) {
    parameters_.push_back(model.parameters()[i].tensor);
    parameters_.back().mutable_grad() = ViewOf(gradient_P_, storage.ranges[i]);
  }
  if (!HasFusedKernel(gradient_P_)) {
    on_device_ = std::make_unique<DeviceAgreement>(data, buffer_.narrow(0, 0, kHeader), gradient_P_,
                                                   shard_, options.shard);
  } else if (options.shard) {
    const auto num_blocks = static_cast<int64_t>(norm_.block_sums().size());
    agreement_memory_ =
        data.Allocate((kLoss + data.world_size() + num_blocks) * SizeOf(DType::kFloat64));
  }
  hooks_ =
      std::make_unique<GradientHooks>(parameters_, [this](size_t parameter) { Ready(parameter); });
}

GradientBuckets::~GradientBuckets() {
  hooks_.reset();
  sink_ = {};
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void GradientBuckets::Ready(size_t parameter) {
  const std::lock_guard lock(mutex_);
  NoteWritten(parameter);
  const bool launched_before = parameter == token_table_ && lookup_gradient_.armed;
  if (!armed_ || launched_before || failure_ != nullptr) return;
  // Not through autograd: backward would return at once, while its own thread still reads and writes
  // what this rank then frees.
  try {
    order_->MarkReady(parameter);
    while (const std::optional<size_t> bucket = order_->TakeReady()) Launch(*bucket);
    if (started_ && !data_.starts_wait()) InQueue([this] { data_.Progress(); });
  } catch (...) {
    failure_ = std::current_exception();
  }
}

// Every parameter has its gradient once in a backward: when all have, what comes next is added.
void GradientBuckets::NoteWritten(size_t parameter) {
  if (!sink_.overwrites || written_[parameter]) return;
  written_[parameter] = true;
  sink_.overwrites = ++num_written_ < written_.size();
}

void GradientBuckets::BeginStep() {
  buffer_.narrow(0, 0, kHeader).zero_();
  if (!tied_) parameters_[token_table_].mutable_grad().zero_();
  sink_ = {.overwrites = true};
  written_.assign(parameters_.size(), false);
  num_written_ = 0;
  lookup_gradient_ = {};
  armed_ = false;
  failure_ = nullptr;
  started_ = false;
  queue_seconds_ = 0;
  waits_.clear();
}

void GradientBuckets::Arm(const StepReport& report, int64_t step, int64_t most_tokens,
                          const at::Tensor& device_loss) {
  BE_CHECK(!armed_, "armed twice in a step");
  if (sink_.overwrites && !sink_.used) {  // no example yet, and none to come
    gradient_P_.zero_();
    sink_.overwrites = false;
  }
  if (on_device_ != nullptr) {
    on_device_->Write(report, device_loss);
  } else {
    float* header = buffer_.data_ptr<float>();
    header[kStop] = report.stop ? 1 : 0;
    header[kNonfinite] = report.nonfinite ? 1 : 0;
    header[kCheckpointDue] = report.checkpoint_due ? 1 : 0;
    header[kSaving] = report.saving ? 1 : 0;
    header[kLoss] = static_cast<float>(report.loss);
  }
  step_ = step;
  most_tokens_ = most_tokens;
  lookup_gradient_.armed =
      on_device_ == nullptr && options_.communicate && lookups_.Pays(most_tokens);
  order_ = lookup_gradient_.armed ? &table_first_ : &table_late_;
  order_->Reset();
  armed_ = true;
  if (!lookup_gradient_.armed) return;
  order_->MarkReady(token_table_);
  while (const std::optional<size_t> bucket = order_->TakeReady()) Launch(*bucket);
}

StepOutcome GradientBuckets::Finish() {
  BE_CHECK(armed_, "Finish without Arm");
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  while (const std::optional<size_t> bucket = order_->TakeNext()) Launch(*bucket);
  armed_ = false;
  if (on_device_ != nullptr) return FinishOnDevice();
  CompleteStarted();
  float* flat_P = gradient_P_.data_ptr<float>();
  if (lookup_gradient_.armed) {
    Timed([&] { lookups_.Gather(lookup_gradient_, most_tokens_); });
    lookups_.AddTo(flat_P, shard_, norm_);
    lookup_gradient_ = {};
  }
  if (options_.shard && options_.communicate) AgreeSharded();
  const float* header = buffer_.data_ptr<float>();
  StepOutcome outcome;
  outcome.stop = header[kStop] > 0;
  outcome.checkpoint_due = header[kCheckpointDue] > 0;
  outcome.saving = header[kSaving] > 0;
  outcome.loss = header[kLoss];
  outcome.grad_norm = norm_.Take();
  outcome.finite = header[kNonfinite] == 0 && std::isfinite(outcome.grad_norm);
  return outcome;
}

StepOutcome GradientBuckets::FinishOnDevice() {
  LetComputationWait();
  const StepOutcome outcome = on_device_->Read([this](const at::Tensor& values) {
    if (!options_.communicate) return;
    LetCollectivesFollow(data_, device_);
    data_.AllReduce(BufferOf(values), ReduceOp::kSum, data_.stream());
    LetComputationWait();
  });
  // Where a collective has been aborted the streams run on, over what it left behind: its back end
  // knows, and says so at the next call, be it of nothing.
  data_.AllReduce(Part(buffer_.data_ptr<float>(), 0), ReduceOp::kSum, data_.stream());
  TakeStretches();
  return outcome;
}

void GradientBuckets::TakeStretches() {
  for (const auto& [begin, end] : stretches_) waits_.push_back(SecondsBetween(begin, end));
  stretches_.clear();
}

// One small all-reduce tells every rank the others' squared gradients, block by block, and reports.
// Each value comes from one rank and meets only zeros, so the norm and the loss are summed in the
// same order, to the same bits, as without shards.
void GradientBuckets::AgreeSharded() {
  const auto world_size = static_cast<size_t>(data_.world_size());
  const std::span<double> blocks = norm_.block_sums();
  const std::span<double> all(static_cast<double*>(agreement_memory_.data()),
                              kLoss + world_size + blocks.size());
  const std::span<double> losses = all.subspan(kLoss, world_size);
  const std::span<double> sums = all.subspan(kLoss + world_size);
  float* header = buffer_.data_ptr<float>();
  std::fill(losses.begin(), losses.end(), 0.0);
  losses[static_cast<size_t>(data_.rank())] = header[kLoss];
  std::copy_n(header, kLoss, all.begin());
  std::copy(blocks.begin(), blocks.end(), sums.begin());
  Timed([&] {
    data_.AllReduce(Buffer{all.data(), static_cast<int64_t>(all.size()), DType::kFloat64, Device{}},
                    ReduceOp::kSum, Stream{});
  });
  std::copy(sums.begin(), sums.end(), blocks.begin());
  for (int flag = 0; flag < kLoss; ++flag) header[flag] = static_cast<float>(all[flag]);
  header[kLoss] = static_cast<float>(losses[0]);
  for (size_t r = 1; r < world_size; ++r) header[kLoss] += static_cast<float>(losses[r]);
}

void GradientBuckets::Launch(size_t bucket) {
  FaultPoint("train.bucket", step_);
  const FlatRange range = order_->buckets()[bucket];
  if (range.begin == 0 && InjectedNan("train.gradient", step_)) {
    gradient_P_[0] = std::numeric_limits<float>::quiet_NaN();
  }
  if (on_device_ != nullptr) return LaunchOnDevice(range);
  float* flat_P = gradient_P_.data_ptr<float>();
  if (!options_.shard) {
    const int64_t header = range.begin == 0 ? kHeader : 0;
    if (options_.communicate) {
      Timed([&] {
        data_.AllReduce(Part(flat_P + range.begin - header, range.size() + header), ReduceOp::kSum,
                        Stream{});
      });
    }
    if (range.size() > 0) norm_.AddRange(flat_P, range);  // still in the cache
    return;
  }
  const FlatRange own = ShardOf(range, data_.rank(), data_.world_size());
  const auto add_to_norm = [this, flat_P, own](int64_t begin, int64_t size) {
    if (size > 0) norm_.AddRange(flat_P, {own.begin + begin, own.begin + begin + size});
  };
  if (!options_.communicate) return add_to_norm(0, own.size());
  InQueue([&] {
    data_.StartReduceScatter(Part(flat_P + range.begin, range.size()), ReduceOp::kSum, add_to_norm);
  });
  started_ = true;
}

// Behind the compute stream's work so far, on the communicator's stream: launched, not done.
void GradientBuckets::LaunchOnDevice(FlatRange range) {
  if (!options_.communicate) return;
  LetCollectivesFollow(data_, device_);
  float* flat_P = gradient_P_.data_ptr<float>();
  if (options_.shard) {
    const FlatRange own = ShardOf(range, data_.rank(), data_.world_size());
    data_.ReduceScatter(Part(flat_P + range.begin, range.size()),
                        Part(flat_P + own.begin, own.size()), ReduceOp::kSum, data_.stream());
    return;
  }
  const int64_t header = range.begin == 0 ? kHeader : 0;
  data_.AllReduce(Part(flat_P + range.begin - header, range.size() + header), ReduceOp::kSum,
                  data_.stream());
}

void GradientBuckets::GatherShards(const at::Tensor& flat_P, bool counts) {
  if (!options_.shard || !options_.communicate) return;
  if (on_device_ != nullptr) return GatherOnDevice(flat_P.data_ptr<float>(), counts);
  for (const FlatRange& bucket : plan_) {
    InQueue([&] {
      data_.StartAllGather(Part(flat_P.data_ptr<float>() + bucket.begin, bucket.size()));
    });
  }
  started_ = true;
  CompleteStarted();
}

void GradientBuckets::AwaitUpdates() {
  if (options_.communicate) Timed([this] { data_.Barrier(); });
}

void GradientBuckets::GatherOnDevice(float* flat_P, bool counts) {
  LetCollectivesFollow(data_, device_);
  data_.BeginGroup();  // all are ready: one launch
  for (const FlatRange& bucket : plan_) {
    const FlatRange own = ShardOf(bucket, data_.rank(), data_.world_size());
    data_.AllGather(Part(flat_P + own.begin, own.size()),
                    Part(flat_P + bucket.begin, bucket.size()), data_.stream());
  }
  data_.EndGroup();
  LetComputationWait();
  if (!counts) stretches_.pop_back();
}

// A call that waits for the other ranks has its own entry in waits_. What is started without waiting
// is one entry all together: ranks do their shares of it at moments of their own.
void GradientBuckets::InQueue(const std::function<void()>& call) {
  if (data_.starts_wait()) return Timed(call);
  const Stopwatch watch;
  call();
  queue_seconds_ += watch.Seconds();
}

void GradientBuckets::CompleteStarted() {
  if (!started_) return;
  InQueue([this] { data_.Complete(); });
  if (!data_.starts_wait()) waits_.push_back(queue_seconds_);
  queue_seconds_ = 0;
  started_ = false;
}

void GradientBuckets::LetComputationWait() {
  const Stream compute = ComputeStream(device_);
  Event begin = RecordTime(compute);
  LetComputationFollow(data_, device_);
  stretches_.emplace_back(std::move(begin), RecordTime(compute));
}

Buffer GradientBuckets::Part(float* data, int64_t count) const {
  return {data, count, DType::kFloat32, FromAten(device_)};
}

void GradientBuckets::Timed(const std::function<void()>& collective) {
  const Stopwatch watch;
  collective();
  waits_.push_back(watch.Seconds());
}

}  // namespace breakeven
