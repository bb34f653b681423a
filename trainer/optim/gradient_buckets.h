// The flat gradient buffer: backward writes where the reduction reads. Buckets are reduced while
// backward still runs, in an order that every rank keeps.
#ifndef BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
#define BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "trainer/autograd/gradient_hooks.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/optim/device_agreement.h"
#include "trainer/optim/gradient_norm.h"
#include "trainer/optim/lookup_exchange.h"
#include "trainer/optim/step_report.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {

struct BucketOptions {
  int64_t bucket_bytes = kDefaultBucketBytes;  // largest
  int64_t last_bucket_bytes =
      kDefaultLastBucketBytes;  // launched last; sizes double from it to the largest
  bool shard = false;           // reduce-scatter: each rank has its own shard reduced only
  // false: nothing is exchanged and every rank trains by itself, but for weights that ranks share: each updates
  // its shard of them while others may read it. For measuring what that costs, never to be kept.
  bool communicate = true;
};

// On a GPU a bucket's collective is launched behind an event of the compute stream, which marks that its
// gradients are complete, and runs on the communicator's stream beside the rest of backward. Finish lets
// the compute stream, not the host, wait for the last of them. The rows of a token table are not
// exchanged apart there: each rank would add them for itself, in an order that the device picks, and
// the ranks' weights would drift apart.
class GradientBuckets {
 public:
  // COLLECTIVE (Allocate). Points every parameter's .grad into the buffer. Sizes are rounded down to
  // multiples of 4 KiB (with `shard`, of that for each rank), at least one. `model`, `storage` and
  // `data` must outlive this. On the storage's device.
  GradientBuckets(Model& model, const ModelStorage& storage, Communicator& data,
                  const BucketOptions& options);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // Once per step, before the first micro-batch: what stands in the buffer is of no use any more. The
  // first backward replaces it (Model::gradient_sink); a rank without one zeroes it in Arm.
  void BeginStep();
  // COLLECTIVE from here to Finish. Call after the last micro-batch's forward and before its
  // backward, which then reduces each bucket (SUM over ranks) as soon as it and all before it are
  // complete. `step` numbers the fault points train.gradient and train.bucket. `most_tokens`: of any
  // rank's last micro-batch; the same on every rank. `device_loss`: on a GPU, where report.loss and
  // report.nonfinite are not known to the host; undefined without an example.
  void Arm(const StepReport& report, int64_t step, int64_t most_tokens,
           const at::Tensor& device_loss = {});
  // Reduces the buckets that backward has not (all of them on a rank without an example) and reads
  // the outcome: on a GPU the step's only wait of the host. Error(kCommunication) where a collective of
  // the step has failed.
  StepOutcome Finish();

  // COLLECTIVE. The other ranks' shards of a flat buffer of the storage's layout: weights after an
  // update, moments to be saved. Nothing to do without `shard`. `counts`: in waits().
  void GatherShards(const at::Tensor& flat_P, bool counts = true);

  // COLLECTIVE. Behind an update of weights that the ranks share (ModelStorage::shared): all have
  // written their shards. None had begun before all had read: where ranks communicate, Finish has each
  // rank's last gradients.
  void AwaitUpdates();

  // From the next step on: BucketOptions::communicate.
  void set_communicate(bool communicate) { options_.communicate = communicate; }

  // [P] in the layout of ModelStorage; after Finish the elements of shard() are reduced. Free for
  // other use between Finish and BeginStep.
  const at::Tensor& gradient_P() const { return gradient_P_; }
  const std::vector<FlatRange>& buckets() const { return plan_; }
  // What this rank has reduced, ascending: everything, or its parts of all buckets.
  const std::vector<FlatRange>& shard() const { return shard_; }
  // Seconds that this rank's training thread gave to each collective since BeginStep, in order; as
  // many on every rank. A CPU back end has no thread of its own: what it does, it does in that time. On a
  // GPU: seconds that the compute stream stood waiting for collectives; sharded, first for the gathering
  // behind the former step, unless TakeStretches has had it there.
  const std::vector<double>& waits() const { return waits_; }

  // On a GPU: what the compute stream has been given to wait for since Finish, which is the gathering, goes
  // into waits() now and not at the next Finish. The host waits until it is over: for measurements.
  void TakeStretches();

 private:
  void Launch(size_t bucket);
  void AgreeSharded();  // fills outcome's parts in agreement_: block sums, flags, losses
  StepOutcome FinishOnDevice();
  void Ready(size_t parameter);
  void NoteWritten(size_t parameter);
  void Timed(const std::function<void()>& collective);
  void InQueue(const std::function<void()>& call);
  void CompleteStarted();
  void LaunchOnDevice(FlatRange range);
  void GatherOnDevice(float* flat_P, bool counts);
  void LetComputationWait();  // for all collectives so far, timed
  Buffer Part(float* data, int64_t count) const;

  Communicator& data_;
  BucketOptions options_;
  std::vector<at::Tensor> parameters_;
  LookupGradient& lookup_gradient_;
  GradientSink& sink_;
  const bool tied_;
  const at::Device device_;
  FlatBuffer memory_;
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
  Memory agreement_memory_;                     // sharded: float64
  std::unique_ptr<DeviceAgreement> on_device_;  // on a GPU instead of norm_ and agreement_memory_
  std::vector<std::pair<Event, Event>> stretches_;  // of the compute stream, waiting
  std::mutex mutex_;                                // hooks may come from two threads at once
  std::unique_ptr<GradientHooks> hooks_;
  std::vector<bool> written_;  // parameters, by this step's first backward
  size_t num_written_ = 0;
  bool armed_ = false;
  std::exception_ptr failure_;  // of a collective that was launched in backward
  int64_t step_ = 0;
  int64_t most_tokens_ = 0;
  bool started_ = false;  // calls that Complete has to end
  double queue_seconds_ = 0;
  std::vector<double> waits_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_GRADIENT_BUCKETS_H_
