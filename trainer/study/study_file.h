// Pure. RUN/study.json: what a finished study says of itself. With the records it is all that a report needs.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_FILE_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer/study/findings.h"
#include "trainer/study/study_facts.h"
#include "trainer/study/verdict_config.h"

namespace breakeven {

struct StudyFileArm {
  std::string name;
  ArmRole role = ArmRole::kZeroShot;
  int64_t num_examples = 0;
  std::vector<std::string> records;  // the replicates' `arm` in records.jsonl
};

struct StudyFileVariant {
  std::string name;
  int64_t num_shots = 0;
  double dev_score = 0;
  double standard_error = 0;
  int64_t num_documents = 0;
  double prompt_tokens = 0;
  bool chosen = false;
};

struct StudyFileCell {
  std::string name;  // folder below RUN/cells
  int64_t num_examples = 0;
  double learning_rate = 0;
  int64_t seed = 0;
  double dev_score = 0;
  double validation_loss = 0;  // on dev, the lowest; NaN without validation
  double seconds = 0;          // wall clock, over restarts
  bool chosen = false;
  std::string checkpoint;  // below RUN; "" = its weights were removed
  int64_t chosen_step =
      0;  // of the checkpoint that was kept: the lowest loss on dev, else the last
  int64_t chosen_epoch = 0;  // the first is 1; 0 = not known (older files)
};

struct StudyFileRegression {
  std::string name;
  std::string metric;
  std::string split;
  std::vector<std::string> tuned;  // records' arms
  std::vector<std::string> base;
};

// Whose an arm's records are: another study's may have arms of the same names on the same documents.
struct StudyFileSource {
  std::string set;  // test | regression
  std::string arm;  // as in the records
  std::string model_hash;
  std::string template_hash;
};

struct StudyFile {
  std::string title;
  std::string task;
  std::string model;
  std::string metric;
  std::string test_hash;
  std::vector<StudyFileArm> arms;
  std::vector<StudyFileSource> sources;
  int64_t baseline = 0;
  int64_t candidate = 0;
  std::vector<StudyFileVariant> variants;
  int64_t num_prompts_tried =
      0;  // with those that a search left behind; `variants` are what dev saw whole
  std::vector<StudyFileCell> cells;
  std::optional<StudyFileRegression> regression;
  std::optional<CostInput> costs;
  std::optional<ModelModified> modified;
  int64_t dev_examples = 0;
  std::vector<StudyFact> facts;
  std::vector<std::string> cautions;
  VerdictConfig verdict;
  CostConfig prices;
};

// One serving measurement, wherever it is kept. Errors as ParseStudyFile.
std::string FormatServing(const ServingMeasurement& serving);
ServingMeasurement ParseServing(const std::string& json, const std::string& where);

// Floats read back exactly.
std::string FormatStudyFile(const StudyFile& study);
// Error(kBadData) naming `where` and the key.
StudyFile ParseStudyFile(const std::string& json, const std::string& where);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_FILE_H_
