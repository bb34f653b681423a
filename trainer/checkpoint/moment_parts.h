// AdamW's moments in the files of a checkpoint: which rank writes which elements, and how they come
// together again on any number of ranks. Needs ATen.
//
// RUN/checkpoints/step_N/trainer_state/optimizer.safetensors, or with several parts
// optimizer-00001-of-00002.safetensors …: tensors exp_avg.NAME and exp_avg_sq.NAME of the
// parameter's shape; a parameter that is not whole in its file is exp_avg.NAME[begin:end], elements
// of it, flat.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_MOMENT_PARTS_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_MOMENT_PARTS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/checkpoint/safetensors.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/optim/adamw.h"
#include "trainer/optim/bucket_plan.h"

namespace breakeven {

inline constexpr const char* kMomentFiles = "trainer_state/optimizer";  // how their names begin

// Elements `range` of a moment, in the layout of ModelStorage.
struct MomentStretch {
  Moment moment = Moment::kExpAvg;
  FlatRange range;
  bool operator==(const MomentStretch&) const = default;
};

// With their values, float32 on the host: [of.range.size()].
struct HeldStretch {
  MomentStretch of;
  at::Tensor values;
};

// What rank `rank` of `world_size` writes of moments that every rank has whole, so that all write
// about as many bytes: rank 0 has the weights to write too. Together the ranks write everything.
std::vector<MomentStretch> DealMoments(int64_t num_elements, int rank, int world_size);

// The stretch cut where parameters end. Views of `stretch`.
void AppendTensors(const HeldStretch& stretch, const std::vector<ParameterRange>& parameters,
                   std::vector<TensorToWrite>& tensors);

// All of a moment, out of however many parts of a folder that VerifyCheckpoint passed, into flat_P in
// the layout of `storage`; what lies between parameters is left as it is. Error(kBadData) naming file
// or folder, and tensor.
void LoadMoment(const std::string& folder, Moment moment, const ModelStorage& storage,
                const at::Tensor& flat_P);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_MOMENT_PARTS_H_
