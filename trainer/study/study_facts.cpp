// Pure.
#include "trainer/study/study_facts.h"

#include <cstdio>
#include <functional>
#include <set>

namespace breakeven {
namespace {

using Say = std::function<std::string(const TrainingState&)>;

std::string EachOnce(const std::vector<TrainingState>& states, const Say& say) {
  std::set<std::string> seen;
  std::string text;
  for (const TrainingState& state : states) {
    const std::string said = say(state);
    if (!seen.insert(said).second) continue;
    text += (text.empty() ? "" : "; ") + said;
  }
  return text;
}

std::string RanksText(int64_t ranks, int64_t threads) {
  return std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks") + ", " +
         std::to_string(threads) + (threads == 1 ? " thread each" : " threads each");
}

}  // namespace

std::vector<StudyFact> StudyFacts(const StudyFactsInput& in) {
  std::vector<StudyFact> facts;
  const auto add = [&](const char* group, const std::string& name, const std::string& value) {
    facts.push_back({group, name, value});
  };
  add("study", "finished", in.finished);
  add("study", "config", in.config_hash);
  add("software", "trained by", EachOnce(in.trained, [](const TrainingState& state) {
        return "breakeven " + state.program_version + ", libtorch " + state.libtorch_version;
      }));
  add("software", "finished by", in.program);
  for (const SplitFact& split : in.splits) {
    add("data", split.split,
        std::to_string(split.num_documents) + " documents of " + split.path + ", content " +
            split.content_hash);
  }
  add("model", "weights of the base model", in.model_hash);
  add("model", "tokenizer",
      EachOnce(in.trained, [](const TrainingState& state) { return state.tokenizer_fingerprint; }));
  std::string seeds;
  for (const int64_t seed : in.seeds) seeds += (seeds.empty() ? "" : ", ") + std::to_string(seed);
  add("training", "seeds", seeds);
  for (const auto& [size, rate] : in.rates) {
    char text[64];
    std::snprintf(text, sizeof(text), "%g, chosen on dev", rate);
    add("training", "learning rate at " + std::to_string(size), text);
  }
  add("training", "precision",
      EachOnce(in.trained, [](const TrainingState& state) { return state.precision; }));
  add("training", "ranks", EachOnce(in.trained, [](const TrainingState& state) {
        return RanksText(state.world_size, state.threads);
      }));
  add("scoring", "precision", in.scoring_precision);
  add("scoring", "ranks", RanksText(in.world_size, in.threads));
  add("machine", "processor", in.cpu_model);
  add("test", "look", std::to_string(in.look) + " of " + std::to_string(in.num_looks));
  return facts;
}

}  // namespace breakeven
