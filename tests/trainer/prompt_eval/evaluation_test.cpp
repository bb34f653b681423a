// The whole evaluation on tiny models, ranks as threads.
#include "trainer/prompt_eval/evaluation.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/base/hash.h"
#include "tests/support/tiny_model.h"
#include "tests/trainer/prompt_eval/evaluation_fixture.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/prompt_eval/loaded_model.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST_F(EvaluationTest, WritesRecordsInOrderOfArmAndDocument) {
  const EvalSummary summary = Run();
  ASSERT_EQ(summary.arms.size(), 2U);
  EXPECT_EQ(summary.arms[0].variant, "zero");
  EXPECT_EQ(summary.arms[1].variant, "two_shot");
  EXPECT_GT(summary.arms[1].mean_prompt_tokens, summary.arms[0].mean_prompt_tokens);
  std::ifstream records(summary.records_path);
  std::string line;
  int count = 0;
  double hits = 0;
  while (std::getline(records, line)) {
    const auto record = nlohmann::json::parse(line);
    EXPECT_EQ(record["doc_id"], 200 + count % 11);
    EXPECT_EQ(record["variant"], count < 11 ? "zero" : "two_shot");
    EXPECT_EQ(record["choices"].size(), 3U);
    if (count < 11) hits += record["metrics"]["acc"].get<double>();
    ++count;
  }
  EXPECT_EQ(count, 22);
  EXPECT_DOUBLE_EQ(summary.arms[0].metrics.at("acc").value, hits / 11);
  const auto json = nlohmann::json::parse(ReadFile(Path("run/summary.json")));
  EXPECT_EQ(json["arms"].size(), 2U);
  EXPECT_EQ(ReadFile(Path("run/table.md")), FormatTable(summary));
}

// A pool of another size beside each rank's would be threads that nobody counts.
TEST_F(EvaluationTest, ThreadsAreSetAsInTraining) {
  RunThreadWorld(1, [](World& world) {
    EXPECT_EQ(SetEvalThreads(2, world), 2);
    EXPECT_EQ(at::get_num_threads(), 2);
    EXPECT_EQ(at::get_num_interop_threads(), 1);
    EXPECT_EQ(SetEvalThreads(0, world), DescribeProcess().num_cpus);
  });
}

TEST_F(EvaluationTest, AStateThatThisProgramDoesNotReadIsRefused) {
  fs::create_directories(Path("base/trainer_state"));
  std::ofstream(Path("base/trainer_state/state.json")) << R"({"format": 99, "step": 7})";
  EXPECT_THAT(ErrorOfRun(),
              AllOf(HasSubstr("base/trainer_state/state.json"), HasSubstr("format 99")));
}

TEST_F(EvaluationTest, ASearchLeavesTheBestAndSaysHowManyWereTried) {
  PromptSearchConfig search;
  search.budget_documents = 44;
  search.shot_sets = 3;
  search.keep = 1;
  config_.prompt_search = search;
  const EvalSummary summary = Run();
  ASSERT_TRUE(summary.search.has_value());
  EXPECT_EQ(summary.search->num_tried, 4) << "zero, and three draws of two_shot";
  EXPECT_EQ(summary.search->num_documents, 4 * 5 + 2 * 6);
  ASSERT_EQ(summary.arms.size(), 1U);
  EXPECT_EQ(summary.arms[0].num_documents, 11);
  EXPECT_EQ(summary.search->kept, std::vector<std::string>{summary.arms[0].variant});
  EXPECT_THAT(FormatTable(summary), HasSubstr("tried 4 prompts with 32 documents"));
  EXPECT_EQ(nlohmann::json::parse(FormatSummaryJson(summary))["prompt_search"]["num_tried"], 4);
  const std::string records = ReadFile(summary.records_path);
  EXPECT_EQ(ReadFile(Run(3).records_path), records) << "the same on three ranks";
  config_.prompt_search->model = "other";
  EXPECT_THAT(ErrorOfRun(), HasSubstr("prompt_search.model: 'other' is none of `models`"));
}

TEST_F(EvaluationTest, ContextualCalibrationDividesByWhatAnEmptyQuestionSays) {
  const auto scores_of = [&](const PromptConfig& variant, const char* key) {
    config_.prompts.variants = {variant};
    std::vector<std::vector<double>> scores;
    std::istringstream lines(ReadFile(Run().records_path));
    for (std::string line; std::getline(lines, line);) {
      scores.emplace_back();
      const nlohmann::json record = nlohmann::json::parse(line);
      for (const auto& choice : record["choices"]) {
        scores.back().push_back(choice[key].get<double>());
      }
    }
    return scores;
  };
  PromptConfig variant;
  variant.name = "calibrated";
  variant.num_fewshot = 1;
  variant.calibration = "contextual";
  variant.content_free = {"N/A", ""};
  const auto raw = scores_of(variant, "loglikelihood");
  const auto calibrated = scores_of(variant, "calibrated");
  // The same prompts asked as documents.
  std::ofstream(Path("dev.jsonl")) << R"({"id": 1, "q": "N/A", "a": "fig"})"
                                   << "\n"
                                   << R"({"id": 2, "q": "", "a": "fig"})"
                                   << "\n";
  variant.calibration = "none";
  std::vector<double> prior(3);
  for (const std::vector<double>& empty : scores_of(variant, "loglikelihood")) {
    double total = 0;
    for (const double score : empty) total += std::exp(score);
    for (size_t k = 0; k < 3; ++k) prior[k] += std::exp(empty[k]) / total / 2;
  }
  for (size_t i = 0; i < raw.size(); ++i) {
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(calibrated[i][k], raw[i][k] - std::log(prior[k]), 1e-4) << i << " " << k;
    }
  }
}

TEST_F(EvaluationTest, RecordsAreTheSameBytesForOneToFourRanks) {
  config_.sealed_split = "test";
  Run();
  const std::string one = ReadFile(Path("run/records.jsonl"));
  for (const int world_size : {2, 3, 4}) {
    config_.output = Path("run" + std::to_string(world_size));
    Run(world_size);
    EXPECT_EQ(ReadFile(config_.output + "/records.jsonl"), one) << world_size << " ranks";
  }
}

TEST_F(EvaluationTest, RecordsSayThePrecisionTheyWereScoredIn) {
  config_.precision = {.type = "bfloat16", .force_bfloat16 = true};  // whatever this machine has
  const std::string rounded = ReadFile(Run().records_path);
  EXPECT_EQ(ReadFile(Run(2).records_path), rounded);
  EXPECT_THAT(rounded, HasSubstr(R"("precision":"bfloat16")"));
  config_.precision = {};
  const std::string exact = ReadFile(Run().records_path);
  EXPECT_THAT(exact, HasSubstr(R"("precision":"float32")"));
  const auto first = [](const std::string& records) {
    const auto record = nlohmann::json::parse(records.substr(0, records.find('\n')));
    return record["choices"][0]["loglikelihood"].get<double>();
  };
  EXPECT_NEAR(first(rounded), first(exact), 0.2);
  EXPECT_NE(first(rounded), first(exact));
}

TEST_F(EvaluationTest, GenerationAndRollingRunThroughTheSameDoor) {
  config_.task.doc_to_choice.clear();
  config_.task.output_type = "generate_until";
  config_.task.max_gen_toks = 5;
  EvalSummary summary = Run(2);
  EXPECT_EQ(summary.arms[0].metrics.count("exact_match"), 1U);
  config_.task.output_type = "loglikelihood_rolling";
  config_.task.doc_to_text.clear();
  config_.task.doc_to_target = "{{ q }}";
  config_.prompts.variants.clear();
  summary = Run(3);
  ASSERT_EQ(summary.arms.size(), 1U);
  EXPECT_GT(summary.arms[0].metrics.at("byte_perplexity").value, 1);
  EXPECT_GT(summary.arms[0].metrics.at("byte_perplexity").standard_error, 0);
}

TEST_F(EvaluationTest, FewerDocumentsThanRanks) {
  WriteDocuments("dev", 2, 200);
  EXPECT_EQ(Run(4).arms[0].num_documents, 2);
}

TEST_F(EvaluationTest, ALimitTakesTheFirstDocuments) {
  config_.limit = 3;
  EXPECT_EQ(Run().arms[0].num_documents, 3);
}

TEST_F(EvaluationTest, BadInputEndsWithOneClearMessageAndNoRecords) {
  std::ofstream(Path("dev.jsonl"), std::ios::trunc).close();
  EXPECT_THAT(ErrorOfRun(2), HasSubstr("no document"));
  EXPECT_FALSE(fs::exists(Path("run/records.jsonl")));
  WriteDocuments("dev", 3, 200);
  std::ofstream(Path("dev.jsonl"), std::ios::app) << R"({"id":200,"q":"x","a":"fig"})"
                                                  << "\n";
  EXPECT_THAT(ErrorOfRun(), HasSubstr("lines 1 and 4"));
  WriteDocuments("dev", 3, 200);
  config_.prompts.variants[1].fewshot_split = "dev";
  EXPECT_THAT(ErrorOfRun(), HasSubstr("fewshot_split is 'dev', which is scored"));
  config_.prompts.variants[1].fewshot_split = "train";
  config_.prompts.variants[1].name = "zero";
  EXPECT_THAT(ErrorOfRun(), HasSubstr("used twice"));
  config_.prompts.variants.resize(1);
  config_.sealed_split = "dev";
  EXPECT_THAT(ErrorOfRun(), HasSubstr("the split that chooses"));
  config_.sealed_split.clear();
  config_.models["gone"] = Path("gone");
  EXPECT_THAT(ErrorOfRun(3), HasSubstr("model 'gone'"));
  config_.models.clear();
  EXPECT_THAT(ErrorOfRun(), HasSubstr("models: none given"));
  EXPECT_FALSE(fs::exists(Path("run/records.jsonl")));
}

TEST_F(EvaluationTest, ADryRunWritesNothing) {
  RunThreadWorld(2, [&](World& world) {
    const std::string text = DryRunEvaluation(config_, world);
    EXPECT_THAT(text, HasSubstr("split dev: 11 documents"));
    EXPECT_THAT(text, HasSubstr("two_shot: longest request"));
  });
  EXPECT_FALSE(fs::exists(Path("run")));
}

TEST_F(EvaluationTest, ADryRunFindsWhatTheSealedSplitLacks) {
  config_.sealed_split = "test";
  std::ofstream(Path("test.jsonl"), std::ios::app) << R"({"id":999,"a":"fig"})"
                                                   << "\n";
  RunThreadWorld(2, [&](World& world) {
    try {
      DryRunEvaluation(config_, world);
      ADD_FAILURE() << "no error for the document without a question";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr("line 8"));
    }
  });
}

TEST_F(EvaluationTest, WeightsThatDoNotFitAreFoundBeforeAnythingIsScored) {
  config_.models["other"] = Path("other");
  WriteTinyModel(Path("other"));
  std::string json = ReadFile(Path("other/config.json"));
  json.replace(json.find("\"intermediate_size\": 64"), 23, "\"intermediate_size\": 48");
  std::ofstream(Path("other/config.json"), std::ios::trunc) << json;
  SetFaults("eval.stop_signal@1+=errno:4");  // what is scored ends here
  EXPECT_THAT(ErrorOfRun(2), HasSubstr("the weights do not fit config.json"));
  SetFaults("");
}

TEST_F(EvaluationTest, ADamagedCheckpointIsNotScored) {
  Manifest manifest;
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"}) {
    const std::string path = Path(std::string("base/") + name);
    manifest.files[name] = {static_cast<int64_t>(fs::file_size(path)), HashHex(HashFile(path))};
  }
  manifest.files["trainer_state/moments.safetensors"] = {4, "0"};  // none of the model's
  WriteFileDurably(Path("base/manifest.json"), manifest.ToJson());
  EXPECT_EQ(Run().arms.size(), 2U);
  for (const auto& [name, record] : manifest.files) {
    if (name.starts_with("trainer_state/")) continue;
    fs::remove_all(Path("run"));
    const std::string path = Path("base/" + name);
    const std::string whole = ReadFile(path);
    std::string bytes = whole;
    // Each stays a file that can be read.
    if (name.ends_with(".json")) {
      bytes += ' ';
    } else {
      bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
    }
    WriteFileDurably(path, bytes);
    EXPECT_THAT(ErrorOfRun(2), AllOf(HasSubstr(name + ": "), HasSubstr("manifest.json says")));
    EXPECT_FALSE(fs::exists(Path("run/records.jsonl")));
    WriteFileDurably(path, whole);
  }
}

}  // namespace
}  // namespace breakeven
