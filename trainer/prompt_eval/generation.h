// Greedy and sampled text from a model: `breakeven generate`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "comm/device_binding.h"
#include "comm/world.h"
#include "trainer/precision.h"

namespace breakeven {

struct GenerateConfig {
  std::string model;                 // Hugging Face folder or checkpoint
  std::vector<std::string> prompts;  // or
  std::string prompts_file;          // JSONL with a "prompt" field, or plain text: one a line
  bool apply_chat_template = false;
  std::string system;
  int64_t max_new_tokens = 64;
  std::vector<std::string> until;  // stop strings
  double temperature = 0;          // 0 = greedy
  double top_p = 1;
  int64_t top_k = 0;  // 0 = all
  int64_t seed = 0;
  int64_t threads = 0;
  ScoringPrecision precision;
  DeviceConfig device;  // keys `device` and `allow_shared_gpu`
  std::string output;   // JSONL; "" = stdout
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

struct Generation {
  std::string prompt;
  std::string text;             // cut at the first stop string
  std::vector<int32_t> tokens;  // generated ids, before the cut
  std::string finish;           // stop | length
};

// COLLECTIVE. Prompts are dealt over ranks; every rank returns all, in order of the prompts.
std::vector<Generation> RunGeneration(const GenerateConfig& config, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_GENERATION_H_
