// A step's report, norm and outcome where the gradients are on a GPU: all of it on the device but for
// one look by the host. Needs ATen.
#ifndef BREAKEVEN_TRAINER_OPTIM_DEVICE_AGREEMENT_H_
#define BREAKEVEN_TRAINER_OPTIM_DEVICE_AGREEMENT_H_

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "comm/communicator.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/optim/step_report.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {

class DeviceAgreement {
 public:
  // COLLECTIVE (Allocate). `header`: the float32 elements that ride with the gradient; gradient_P and
  // `shard` as GradientBuckets has them. `sharded`: the header has not been reduced, nor what is not
  // in the shard.
  DeviceAgreement(Communicator& data, at::Tensor header, at::Tensor gradient_P,
                  const std::vector<FlatRange>& shard, bool sharded);

  // Behind the last forward pass and before the last bucket leaves. The loss and whether it is finite
  // are taken from `loss`, a scalar on the device (undefined: 0), not from the report.
  void Write(const StepReport& report, const at::Tensor& loss);

  // Norm and, sharded, the other ranks' part of it: COLLECTIVE then, by reduce(float64 values), which
  // has to be in order with the compute stream. The reduced gradient must be there for that stream.
  // The host waits for the outcome: everything that it launches afterwards comes behind.
  StepOutcome Read(const std::function<void(const at::Tensor&)>& reduce);

 private:
  void SumSquares();

  const at::Tensor header_;
  const at::Tensor gradient_P_;
  const std::vector<FlatRange> shard_;
  const bool sharded_;
  const int64_t rank_;
  const int64_t num_losses_;
  FlatBuffer all_;  // float64: report, each rank's loss, Σ squares of each norm block
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_DEVICE_AGREEMENT_H_
