// Pure. records.jsonl (fields: trainer/prompt_eval/README.md) read back: arms aligned on the same documents, as tables for comparisons.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_RECORDS_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/statistics/calibration.h"
#include "trainer/study/score_table.h"

namespace breakeven {

struct RecordDocument {
  std::string id;  // JSON, as in the record
  std::string hash;
  std::string group;  // "" = none
  std::string target;
};

// One model under one variant on one split.
struct RecordArm {
  std::string arm;  // "model/variant"
  std::string model;
  std::string model_hash;
  std::string task;
  std::string variant;
  std::string template_hash;
  std::string precision;
  std::optional<int64_t> train_size;
  std::optional<int64_t> seed;
  std::optional<int64_t> step;
  // Parallel to the documents.
  std::map<std::string, std::vector<double>> metrics;
  std::vector<std::string> predictions;
  // Documents with several choices of which one is the target, else empty: log-likelihood and probability (normalised
  // over the choices) of the target, probability of the likeliest choice, whether that is the target.
  std::vector<double> target_loglikelihoods;
  std::vector<double> target_probabilities;
  std::vector<double> confidences;
  std::vector<double> confident_hits;
  std::vector<double> briers;
  // Rolling texts, else empty.
  std::vector<double> loglikelihoods;
  std::vector<double> num_words;
  std::vector<double> num_bytes;
  double mean_prompt_tokens = 0;
  int64_t num_truncated = 0;
};

struct StudyRecords {
  std::string split;
  std::vector<RecordDocument> documents;  // in the first arm's order
  std::vector<RecordArm> arms;  // in order of their first record; tables have a column for each
};

// Collects the records of one split from any number of files. All of them must be of one task and precision, all records
// of an arm of one model and template (by hash), and all arms of the same documents: what differs is refused with both
// values, file and line. So are a metric that is not a number, a document that stands twice in an arm, and a format that
// is not ours; all by Error(kBadData).
class RecordReader {
 public:
  explicit RecordReader(std::string split);
  ~RecordReader();
  void ReadFile(const std::string& path);
  void Read(std::istream& lines, const std::string& name);  // `name` for messages
  // Once, after the last file. Error(kBadData) when there is no record of the split.
  StudyRecords Finish();

 private:
  struct Line;
  struct Collected;
  void Take(const Line& line);
  // The arm with its columns in the reference's order of documents.
  RecordArm Aligned(Collected& collected, const Collected& reference);

  std::string split_;
  std::vector<std::string> order_;  // of the arms
  std::map<std::string, std::unique_ptr<Collected>> arms_;
};

// A table with a column for each arm, in their order. Perplexities and bits become log-likelihoods per word or byte, in
// nats and bits, so that more is better; besides the records' metrics there are `target_loglikelihood`,
// `target_probability` and `brier_score` (as 1 − score/2, in [0, 1]) of choices. Error(kUsage) for a metric that an arm
// lacks, naming those it has.
ScoreTable TableOf(const StudyRecords& records, const std::string& metric);

// Of an arm's choices; nullopt where it has none.
std::optional<Calibration> CalibrationOf(const RecordArm& arm, int64_t num_bins = 10);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_RECORDS_H_
