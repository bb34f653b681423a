// The flat gradient buffer: backward writes where the reduction reads. Buckets are reduced while
// backward still runs, in an order that every rank keeps.
#ifndef BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
#define BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "trainer/autograd/gradient_hooks.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/optim/gradient_norm.h"
#include "trainer/optim/lookup_exchange.h"

namespace breakeven {

// What one rank has to tell the others in a step. It rides in the last message of the step's
// reduction, so that all ranks agree within the step at no collective of its own.
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
  double loss = 0;       // of the step, nats per target token; summed in float32, in order of rank
  double grad_norm = 0;  // of the reduced gradient, before clipping
  bool finite = true;    // false: the step must be skipped, on all ranks alike
};

struct BucketOptions {
  int64_t bucket_bytes = 16 << 20;      // largest
  int64_t last_bucket_bytes = 1 << 20;  // launched last; sizes double from it to the largest
  bool shard = false;                   // reduce-scatter: each rank has its own shard reduced only
  // false: nothing is exchanged and every rank trains by itself. For measuring what that costs.
  bool communicate = true;
};

class GradientBuckets {
 public:
  // COLLECTIVE (Allocate). Points every parameter's .grad into the buffer. Sizes are rounded down to
  // multiples of 4 KiB (with `shard`, of that for each rank), at least one. `model`, `storage` and
  // `data` must outlive this. Host memory only so far.
  GradientBuckets(Model& model, const ModelStorage& storage, Communicator& data,
                  const BucketOptions& options);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // Zeroes the buffer: once per step, before the first micro-batch.
  void BeginStep();
  // COLLECTIVE from here to Finish. Call after the last micro-batch's forward and before its
  // backward, which then reduces each bucket (SUM over ranks) as soon as it and all before it are
  // complete. `step` numbers the fault points train.gradient and train.bucket. `most_tokens`: of any
  // rank's last micro-batch; the same on every rank.
  void Arm(const StepReport& report, int64_t step, int64_t most_tokens);
  // Reduces the buckets that backward has not (all of them on a rank without an example) and reads
  // the outcome.
  StepOutcome Finish();

  // COLLECTIVE. The other ranks' shards of a flat buffer of the storage's layout: weights after an
  // update, moments to be saved. Nothing to do without `shard`.
  void GatherShards(const at::Tensor& flat_P);

  // From the next step on: BucketOptions::communicate.
  void set_communicate(bool communicate) { options_.communicate = communicate; }

  // [P] in the layout of ModelStorage; after Finish the elements of shard() are reduced. Free for
  // other use between Finish and BeginStep.
  const at::Tensor& gradient_P() const { return gradient_P_; }
  const std::vector<FlatRange>& buckets() const { return plan_; }
  // What this rank has reduced, ascending: everything, or its parts of all buckets.
  const std::vector<FlatRange>& shard() const { return shard_; }
  // Seconds that this rank's training thread gave to each collective since BeginStep, in order; as
  // many on every rank. A CPU back end has no thread of its own: what it does, it does in that time.
  const std::vector<double>& waits() const { return waits_; }

 private:
  void Launch(size_t bucket);
  void AgreeSharded();  // fills outcome's parts in agreement_: block sums, flags, losses
  void Timed(const std::function<void()>& collective);
  void InQueue(const std::function<void()>& call);
  void CompleteStarted();
  Buffer Part(float* data, int64_t count) const;

  Communicator& data_;
  BucketOptions options_;
  std::vector<at::Tensor> parameters_;
  LookupGradient& lookup_gradient_;
  Memory memory_;
  at::Tensor buffer_;  // header of kFlatBlock elements, then gradient_P_
  at::Tensor gradient_P_;
  const std::vector<FlatRange> plan_;
  const std::vector<FlatRange> shard_;
  size_t token_table_ = 0;   // parameter
  BucketOrder table_first_;  // its rows are exchanged apart
  BucketOrder table_late_;   // complete when backward ends
  BucketOrder* order_;       // of this step
  LookupExchange lookups_;
  GradientNorm norm_;
  Memory agreement_memory_;  // sharded: float64
  std::unique_ptr<GradientHooks> hooks_;
  StepReport report_;
  bool armed_ = false;
  int64_t step_ = 0;
  int64_t most_tokens_ = 0;
  bool started_ = false;  // calls that Complete has to end
  double queue_seconds_ = 0;
  std::vector<double> waits_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
