// Documents about fruit, a tiny model, two variants: the whole evaluation on ranks that are threads.
#ifndef BREAKEVEN_TESTS_TRAINER_PROMPT_EVAL_EVALUATION_FIXTURE_H_
#define BREAKEVEN_TESTS_TRAINER_PROMPT_EVAL_EVALUATION_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"
#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

class EvaluationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(Path("base"));
    WriteDocuments("train", 12, 100);
    WriteDocuments("dev", 11, 200);
    WriteDocuments("test", 7, 300);
    config_.models = {{"base", Path("base")}};
    config_.task.name = "fruit";
    for (const char* split : {"train", "dev", "test"}) {
      config_.task.splits[split].path = Path(std::string(split) + ".jsonl");
    }
    config_.task.id_field = "id";
    config_.task.doc_to_text = "{{ q }}\nAnswer:";
    config_.task.doc_to_target = "{{ a }}";
    config_.task.doc_to_choice = {"apple", "the pear", "fig"};
    PromptConfig zero;
    zero.name = "zero";
    PromptConfig two = zero;
    two.name = "two_shot";
    two.num_fewshot = 2;
    config_.prompts.variants = {zero, two};
    config_.batch_tokens = 200;
    config_.threads = 1;
    config_.output = Path("run");
  }
  std::string Path(const std::string& name) const { return folder_ / name; }

  void WriteDocuments(const std::string& split, int count, int first_id) const {
    std::ofstream file(Path(split + ".jsonl"));
    const char* answers[] = {"apple", "the pear", "fig"};
    for (int i = 0; i < count; ++i) {
      const nlohmann::json document = {
          {"id", first_id + i},
          {"q", std::string(5 + (i * 7) % 23, static_cast<char>('a' + i)) +
                    std::to_string(first_id / 100) + "?"},  // splits have no text in common
          {"a", answers[i % 3]}};
      file << document.dump() << "\n";
    }
  }

  EvalSummary Run(int world_size = 1) const {
    EvalSummary summary;
    RunThreadWorld(world_size, [&](World& world) {
      const EvalSummary mine = RunEvaluation(config_, world);
      if (world.is_root()) summary = mine;
    });
    return summary;
  }

  std::string ErrorOfRun(int world_size = 1) const {
    try {
      Run(world_size);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  // A stop at the last time that a whole evaluation asks for one: inside its last arm. An evaluation of
  // one arm less does not ask so often.
  std::string LastStop() {
    const std::string output = config_.output;
    std::string fault;
    for (int asked = 1;; ++asked) {
      config_.output = Path("asks" + std::to_string(asked));
      const std::string next = "eval.stop_signal@" + std::to_string(asked) + "=errno:4";
      SetFaults(next);
      const bool ended = ErrorOfRun() != "no error";
      SetFaults("");
      if (!ended) break;
      fault = next;
    }
    config_.output = output;
    return fault;
  }

  const TempFolder folder_;
  EvalConfig config_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_TRAINER_PROMPT_EVAL_EVALUATION_FIXTURE_H_
