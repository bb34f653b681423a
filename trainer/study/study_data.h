// Pure. The documents of a study: three splits that share nothing, and nested training subsets.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_DATA_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_DATA_H_

#include <map>
#include <string>
#include <vector>

#include "data_pipeline/example_renderer.h"
#include "trainer/prompt_eval/eval_documents.h"
#include "trainer/study/study_config.h"

namespace breakeven {

struct StudyData {
  EvalDocuments
      train;  // in nested order: the first n are the subset of n; as many as the largest size
  EvalDocuments dev;
  EvalDocuments test;
  std::vector<std::string> cautions;  // whole sentences: what these documents cannot tell

  std::string Fingerprint() const;
  std::map<std::string, EvalDocuments> Splits() const {
    return {{"train", train}, {"dev", dev}, {"test", test}};
  }
};

// Errors: kBadData as the readers say; where two splits share a text (equal when rendered and normalised) or a group, or more
// near duplicates than config.overlap allows, naming count and lines; where a prompt shows the answer; where train has fewer
// documents than the largest size. kUsage for a dev set on which the best of the
// variants would look ten points better than it is.
StudyData ReadStudyData(const StudyConfig& config, const ChatFormat& chat, int num_threads);

// RUN/data/train_N.jsonl, then RUN/data/tokens_N/train.h5, for every size, and the same of dev for the validation loss; same
// input, same bytes. Error(kBadData) where a training example does not fit into max_tokens.
void WriteSubsets(const StudyConfig& config, const StudyData& data);
std::string SubsetDataset(const std::string& run_folder, int64_t size);
std::string ValidationDataset(const std::string& run_folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_DATA_H_
