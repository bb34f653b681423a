// Pure. What a study says of where its numbers come from: the facts of study.json, shown as the report's provenance.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_FACTS_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_FACTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/checkpoint/training_state.h"

namespace breakeven {

struct StudyFact {
  std::string group;
  std::string name;
  std::string value;
};

struct SplitFact {
  std::string split;
  int64_t num_documents = 0;
  std::string path;
  std::string content_hash;
};

struct StudyFactsInput {
  std::string finished;     // UTC, ISO 8601
  std::string program;      // that finished the study: "breakeven 0.1.0, libtorch 2.15.0"
  std::string config_hash;  // over every key that can change a result
  std::vector<SplitFact> splits;
  std::string model_hash;  // of the base model's weights
  std::vector<int64_t> seeds;
  std::map<int64_t, double> rates;     // by size, as dev chose
  std::vector<TrainingState> trained;  // of the cells that dev chose: at least one
  std::string scoring_precision;
  int64_t world_size = 1;
  int64_t threads = 1;  // of a rank that scores
  std::string cpu_model;
  int64_t look = 0;  // at test
  int64_t num_looks = 0;
};

// Where the trainings differ (another program, other ranks), each way is named once.
std::vector<StudyFact> StudyFacts(const StudyFactsInput& input);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_FACTS_H_
