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

// Deletes the checkpoints of a finished cell's `folder` but `checkpoint`. Done again it does nothing. Error(kIo).
void KeepOnly(const std::string& checkpoint, const std::string& folder);

// Deletes the optimizer's moments of a checkpoint that is only asked from now on: two thirds of its bytes. It stays a whole
// checkpoint by its manifest, but no run can go on from it. Done again it does nothing. Error(kIo).
void DropMoments(const std::string& checkpoint);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_CELL_H_
