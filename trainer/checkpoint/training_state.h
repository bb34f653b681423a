// Pure. trainer_state/state.json: what a run must know to go on, beside weights and moments.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_TRAINING_STATE_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_TRAINING_STATE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// Within a checkpoint's folder.
inline constexpr char kStateFile[] = "trainer_state/state.json";

struct TrainingState {
  // Where the run is: `step` steps are done; the next is `step_in_epoch` of `epoch`.
  int64_t step = 0;
  int64_t epoch = 0;
  int64_t step_in_epoch = 0;
  int64_t total_steps = 0;
  int64_t num_updates = 0;  // AdamW's count: steps that were not skipped
  int64_t skipped_steps = 0;
  int64_t nonfinite_in_a_row = 0;
  int64_t tokens = 0;                 // trained on so far
  double seconds = 0;                 // in steps so far
  std::vector<double> recent_losses;  // LossWatch's
  int64_t rollbacks = 0;              // by its spikes

  // Validation.
  double best_validation_loss =
      std::numeric_limits<double>::quiet_NaN();  // NaN: none yet; null in the file
  int64_t best_step = -1;
  int64_t last_validation_step = -1;
  int64_t validations_without_gain = 0;

  // What must be the same for the cursor to mean the same: a difference is an error.
  int64_t seed = 0;
  std::string plan_hash;  // of global batch, shuffle and seed
  std::string dataset_hash;
  int64_t train_size = 0;  // examples of the dataset; records.jsonl says it
  std::string tokenizer_fingerprint;
  std::string template_fingerprint;
  std::string precision;  // resolved: kept on resume

  // What changes rounding only, or nothing: a difference is a warning.
  std::string config_hash;    // of all settings (ConfigFingerprint)
  std::string settings_hash;  // but for the number of steps; "" in files of earlier versions
  int64_t world_size = 0;
  int64_t threads = 0;
  int64_t bucket_bytes = 0;
  std::string program_version;
  std::string libtorch_version;

  std::string ToJson() const;  // floats read back exactly
};

// Error(kBadData) naming `where`, the key, and what is wrong with it.
TrainingState ParseTrainingState(std::string_view json, const std::string& where);

// A checkpoint's. Whether its bytes are those that were saved is VerifyCheckpoint's to say. Errors: kBadData naming file and
// key; ReadFile's.
TrainingState LoadTrainingState(const std::string& folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_TRAINING_STATE_H_
