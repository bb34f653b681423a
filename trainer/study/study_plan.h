// Pure. What a study does, in which order, and what chooses what.
//
//   dev:  all variants on the base model                         → the baseline
//         for each size the first seed at every rate             → the size's rate
//         for each size the other seeds at that rate             → the candidate (size and prompt, mean over seeds)
//   test: one look at the arms above
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_PLAN_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_PLAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/prompt_eval/nested_order.h"
#include "trainer/study/study_config.h"

namespace breakeven {

// One training run. The name is its folder below RUN/cells and the model's name in records: "n200_lr5e-05_s1".
struct StudyCell {
  int64_t size = 0;
  double rate = 0;
  int64_t seed = 0;
  std::string name;
  bool operator==(const StudyCell&) const = default;
};
StudyCell MakeCell(int64_t size, double rate, int64_t seed);

// Those whose dev scores choose a size's rate: the first seed, every rate.
std::vector<StudyCell> RateCells(const StudyConfig& config, int64_t size);
// Of all sizes.
std::vector<StudyCell> RateCells(const StudyConfig& config);
// The other seeds of each size at the rate that was chosen for it.
std::vector<StudyCell> SeedCells(const StudyConfig& config, const std::map<int64_t, double>& rates);
// The cells that the sealed look is for: every seed of each size at its rate, by size and seed.
std::vector<StudyCell> ChosenCells(const StudyConfig& config,
                                   const std::map<int64_t, double>& rates);
int64_t NumCells(const StudyConfig& config);
// Whether dev's loss chooses among checkpoints of a cell, which then keeps two: best and newest.
bool ChoosesEpoch(const RecipeConfig& recipe);
// What trains a cell. `data`: the subset's dataset; `validation`: dev's, used where the config validates.
TrainConfig CellTraining(const StudyConfig& config, const StudyCell& cell, const std::string& data,
                         const std::string& validation, const std::string& folder);

// How much better than it is the best of `num_variants` equally good prompts looks on `num_documents`, at a score of one half and
// a correlation of 0.6 between prompts over documents (reference: expected maximum of normals).
double ChoiceOptimism(int64_t num_variants, int64_t num_documents);

// Most bytes that the run folder takes at once, cell by cell as the plan goes: the weights of finished cells, until a size's
// losing rates are removed, and one cell in training: its newest checkpoint with both moments, the one that replaces it while
// that is written, and where dev chooses among epochs the best.
int64_t DiskNeed(const StudyConfig& config, int64_t num_parameters);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_PLAN_H_
