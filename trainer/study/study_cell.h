// One cell of a study: a training run. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_CELL_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_CELL_H_

#include <string>

#include "comm/world.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_state.h"

namespace breakeven {

// COLLECTIVE. Trains in `folder` (below the study's), or goes on from what a killed process left there. `seconds` of the
// result hold those steps as well; `checkpoint` is that with the lowest loss on dev, where the config validates.
CellState TrainCell(const StudyConfig& config, const StudyCell& cell, const std::string& folder,
                    World& world);

// "loss 1.2345, 2 min, kept as after step 3 of 8".
std::string DescribeTraining(const StudyConfig& config, const CellState& cell);

// COLLECTIVE. Whether rank 0 sees a checkpoint's manifest, which a folder that was restored in part may lack. Error(kIo).
bool HasWeights(const std::string& checkpoint, World& world);

// Of a finished cell's `folder` keeps the weights of `checkpoint` alone: deletes the other checkpoints, and the optimizer's
// moments of this one, two thirds of its bytes. It stays a whole checkpoint by its manifest, but no run can go on from it.
// Done again it does nothing. Error(kIo); Error(kBadData), before anything is deleted, where `checkpoint` has no manifest.
void KeepWeightsOf(const std::string& checkpoint, const std::string& folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_CELL_H_
