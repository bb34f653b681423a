// Pure. RUN/study_state.json: what of a study's plan is done. Written durably after every piece, so that a killed study goes on.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_STATE_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/prompt_eval/arm_state.h"
#include "trainer/prompt_eval/prompt_search.h"
#include "trainer/study/cost.h"

namespace breakeven {

struct CellState {
  double seconds = 0;  // wall clock, over restarts
  int64_t steps = 0;
  int64_t tokens = 0;
  double final_loss = 0;       // NaN where a process was killed behind the last step
  double validation_loss = 0;  // on dev, the lowest; NaN without validation
  std::string checkpoint;      // below RUN: that with the lowest loss on dev, else the last one
  bool removed = false;        // its weights, when its rate lost
  int64_t chosen_step = 0;     // of the checkpoint
  int64_t chosen_epoch = 0;    // the first is 1; 0 = not known (older files)
};

struct StudyState {
  std::string fingerprint;                 // of config, model and data
  std::string precision;                   // of scoring, resolved; "" = not yet
  std::string training_precision;          // of all cells, likewise; "" in older files
  std::map<std::string, CellState> cells;  // finished ones
  std::map<int64_t, double> rates;         // by size, as dev chose; the losers are removed
  std::map<std::string, ArmState> arms;    // finished ones, by ArmKey
  std::map<std::string, ServingMeasurement> serving;  // by ArmKey
  SearchScores search;
  int64_t look = 0;  // at test; 0 = none yet
  int64_t num_looks = 0;
  int64_t regression_look = 0;  // likewise at the regression set, where that is its task's test
};

// "test/base/plain".
std::string ArmKey(const std::string& split, const std::string& model, const std::string& variant);
// Where an arm's records lie until the study is whole: eval/parts/<hash of the key>.jsonl, below RUN.
std::string PartFile(const std::string& key);

// As if the cell had never been trained: without its scores and timings, which other weights would stand beside.
void ForgetCell(StudyState& state, const std::string& cell);

std::string FormatStudyState(const StudyState& state);
// Error(kBadData) naming `where`.
StudyState ParseStudyState(const std::string& json, const std::string& where);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_STATE_H_
