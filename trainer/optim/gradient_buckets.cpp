#include "trainer/optim/gradient_buckets.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"

namespace breakeven {
namespace {

// The report's elements at the buffer's beginning, where the last bucket lies. They take a whole
// norm block, so that the gradient's own blocks start at a block.
enum ReportElement { kStop = 0, kNonfinite = 1, kCheckpointDue = 2, kLoss = 3 };
constexpr int64_t kHeader = kNormBlock;

std::vector<FlatRange> PlaceInBuffer(const ModelStorage& storage) {
  std::vector<FlatRange> ranges;
  for (const ParameterRange& range : storage.ranges) {
    ranges.push_back({kHeader + range.offset, kHeader + range.offset + range.numel});
  }
  return ranges;
}

int64_t BucketElements(int64_t bucket_bytes) {
  const int64_t blocks = bucket_bytes / (kNormBlock * SizeOf(DType::kFloat32));
  return std::max<int64_t>(1, blocks) * kNormBlock;
}

}  // namespace

GradientBuckets::GradientBuckets(Model& model, const ModelStorage& storage, Communicator& data,
                                 int64_t bucket_bytes)
    : data_(data),
      memory_(data.Allocate((kHeader + storage.num_elements()) * SizeOf(DType::kFloat32))),
      buffer_(at::from_blob(memory_.data(), {kHeader + storage.num_elements()}, at::kFloat)),
      gradient_P_(buffer_.narrow(0, kHeader, storage.num_elements())),
      order_(PlanBuckets(buffer_.numel(), BucketElements(bucket_bytes)), PlaceInBuffer(storage)),
      norm_(buffer_.numel()) {
  BE_CHECK(storage.parameters_P.is_cpu(), "gradient buckets are in host memory");
  BE_CHECK(model.parameters().size() == storage.ranges.size(), "model and storage differ");
  for (size_t i = 0; i < storage.ranges.size(); ++i) {
    parameters_.push_back(model.parameters()[i].tensor);
    parameters_.back().mutable_grad() = ViewOf(gradient_P_, storage.ranges[i]);
  }
  hooks_ = std::make_unique<GradientHooks>(parameters_, [this](size_t parameter) {
    if (!armed_) return;
    order_.MarkReady(parameter);
    while (const std::optional<size_t> bucket = order_.TakeReady()) Launch(*bucket);
  });
}

GradientBuckets::~GradientBuckets() {
  hooks_.reset();
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad() = at::Tensor();
}

void GradientBuckets::BeginStep() {
  buffer_.zero_();
  order_.Reset();
  armed_ = false;
  communication_seconds_ = 0;
}

void GradientBuckets::Arm(const StepReport& report, int64_t step) {
  BE_CHECK(!armed_, "armed twice in a step");
  float* header = buffer_.data_ptr<float>();
  header[kStop] = report.stop ? 1 : 0;
  header[kNonfinite] = report.nonfinite ? 1 : 0;
  header[kCheckpointDue] = report.checkpoint_due ? 1 : 0;
  header[kLoss] = static_cast<float>(report.loss);
  if (InjectedNan("train.gradient", step)) {
    gradient_P_[0] = std::numeric_limits<float>::quiet_NaN();  // backward adds to it, and it stays
  }
  step_ = step;
  armed_ = true;
}

StepOutcome GradientBuckets::Finish() {
  BE_CHECK(armed_, "Finish without Arm");
  while (const std::optional<size_t> bucket = order_.TakeNext()) Launch(*bucket);
  armed_ = false;
  const float* header = buffer_.data_ptr<float>();
  StepOutcome outcome;
  outcome.stop = header[kStop] > 0;
  outcome.checkpoint_due = header[kCheckpointDue] > 0;
  outcome.loss = header[kLoss];
  outcome.grad_norm = norm_.Take();
  outcome.finite = header[kNonfinite] == 0 && std::isfinite(outcome.grad_norm);
  return outcome;
}

void GradientBuckets::Launch(size_t bucket) {
  FaultPoint("train.bucket", step_);
  const FlatRange range = order_.buckets()[bucket];
  float* flat = buffer_.data_ptr<float>();
  const auto begin = std::chrono::steady_clock::now();
  data_.AllReduce(Buffer{flat + range.begin, range.size(), DType::kFloat32, Device{}},
                  ReduceOp::kSum, Stream{});
  communication_seconds_ +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const FlatRange gradient{std::max(range.begin, kHeader), range.end};
  if (gradient.size() > 0) norm_.AddRange(flat, gradient);
}

}  // namespace breakeven
