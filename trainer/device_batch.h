// Micro-batches as tensors, where the model is. Internal to trainer; needs ATen.
#ifndef BREAKEVEN_TRAINER_DEVICE_BATCH_H_
#define BREAKEVEN_TRAINER_DEVICE_BATCH_H_

#include <ATen/ATen.h>

#include "data_pipeline/micro_batch.h"
#include "trainer/model/model.h"

namespace breakeven {

// What WeightedLoss takes (trainer/model/loss.h).
struct BatchTensors {
  PackedInput input;
  at::Tensor targets_T;      // int64; with input.rows_R those of the rows
  at::Tensor loss_weight_T;  // float32; likewise
  bool has_targets = false;
};

// Over the batch's own memory, which must outlive the tensors.
BatchTensors WrapBatch(const MicroBatch& batch);

// A copy on a device, with what a GPU should not be asked for: the rows that carry loss, their targets
// and weights, the segments' starts. All of it is one piece of pinned memory and one asynchronous copy.
// ATen keeps pinned memory that a copy still reads from being handed out again, by an event behind the
// copy. To a GPU the host does not wait.
BatchTensors CopyBatch(const MicroBatch& batch, const at::Device& device);

// The first on CPU, the second elsewhere.
BatchTensors BatchOn(const at::Device& device, const MicroBatch& batch);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_DEVICE_BATCH_H_
