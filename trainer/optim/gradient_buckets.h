// The flat gradient buffer: backward writes where the all-reduce reads. Buckets are reduced while
// backward still runs, in an order that every rank keeps.
#ifndef BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
#define BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

#include "comm/communicator.h"
#include "trainer/autograd/gradient_hooks.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/optim/gradient_norm.h"

namespace breakeven {

// What one rank has to tell the others in a step. It rides in the bucket that is reduced last, so
// that all ranks agree within the step at no collective of its own.
struct StepReport {
  bool stop = false;            // a signal asks to save and end
  bool nonfinite = false;       // this rank's loss is NaN or infinite
  bool checkpoint_due = false;  // rank 0's clock; other ranks leave it false
  double loss = 0;              // this rank's share: its Σ cross-entropy / global target tokens
};

// The same, agreed: the same bits on every rank.
struct StepOutcome {
  bool stop = false;
  bool checkpoint_due = false;
  double loss = 0;       // of the step, nats per target token; summed in float32
  double grad_norm = 0;  // of the reduced gradient, before clipping
  bool finite = true;    // false: the step must be skipped, on all ranks alike
};

class GradientBuckets {
 public:
  // COLLECTIVE (Allocate). Points every parameter's .grad into the buffer. Buckets have at most
  // `bucket_bytes` (rounded down to a multiple of 4 KiB, at least one). `model`, `storage` and
  // `data` must outlive this. Host memory only so far.
  GradientBuckets(Model& model, const ModelStorage& storage, Communicator& data,
                  int64_t bucket_bytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // Zeroes the buffer: once per step, before the first micro-batch.
  void BeginStep();
  // COLLECTIVE from here to Finish. Call after the last micro-batch's forward and before its
  // backward, which then reduces each bucket (SUM over ranks) as soon as it and all before it are
  // complete. `step` numbers the fault points train.gradient and train.bucket.
  void Arm(const StepReport& report, int64_t step);
  // Reduces the buckets that backward has not (all of them on a rank without an example) and reads
  // the outcome.
  StepOutcome Finish();

  // [P] in the layout of ModelStorage; reduced after Finish.
  const at::Tensor& gradient_P() const { return gradient_P_; }
  const std::vector<FlatRange>& buckets() const { return order_.buckets(); }
  // Seconds inside AllReduce since BeginStep. A CPU back end is done when it returns, so all of it
  // is exposed.
  double communication_seconds() const { return communication_seconds_; }

 private:
  void Launch(size_t bucket);

  Communicator& data_;
  std::vector<at::Tensor> parameters_;
  Memory memory_;
  at::Tensor buffer_;  // header of kNormBlock elements, then gradient_P_
  at::Tensor gradient_P_;
  BucketOrder order_;
  GradientNorm norm_;
  std::unique_ptr<GradientHooks> hooks_;
  bool armed_ = false;
  int64_t step_ = 0;
  double communication_seconds_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
