// A model folder with everything that evaluation needs of it.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_LOADED_MODEL_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_LOADED_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/world.h"
#include "data_pipeline/example_renderer.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/precision.h"

namespace breakeven {

struct LoadedModel {
  std::string name;
  std::string folder;
  std::string hash;  // of the weight files
  ModelConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
  ChatFormat chat;
  std::vector<int32_t>
      stop_ids;  // generation_config.json's eos_token_id, else config.json's, else the tokenizer's
  // A checkpoint of ours says where it comes from.
  std::optional<int64_t> step;
  std::optional<int64_t> seed;
  std::optional<int64_t> train_size;  // examples that it was trained on
  std::unique_ptr<ModelStorage> storage;
  std::unique_ptr<Model> model;  // null without weights
};

// COLLECTIVE. Every rank reads the folder, weights onto its device; that all read the same config, weights and tokenizer is
// checked. Errors: kBadData as the readers say, when the tokenizer has ids that the embedding has no
// row for, and when the weights of a checkpoint have another hash than its manifest says.
// `precision` is resolved.
LoadedModel LoadEvalModel(const std::string& name, const std::string& folder,
                          const ScoringPrecision& precision, World& world);
// The same without the weights: everything that is cheap, and the header of the weights.
LoadedModel ReadEvalModel(const std::string& name, const std::string& folder, World& world);

// XXH3 of model.safetensors; of a sharded model, over the shards' names and hashes.
// Error(kBadData).
std::string HashModelFolder(const std::string& folder);

// Of what else decides what a model answers: config.json, tokenizer, chat template, stop ids.
std::string HashBesidesWeights(const LoadedModel& model);

// COLLECTIVE. Sets libtorch's threads of this rank as a training does (RankThreads, SetThreads). Returns
// the number.
int SetEvalThreads(int64_t threads, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_LOADED_MODEL_H_
