// How Python reaches task files, answer filters, metrics and BM25: one JSON request a line, one JSON answer a line.
#include <iostream>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "data_pipeline/answer_filters.h"
#include "data_pipeline/example_renderer.h"
#include "launch/yaml_reader.h"
#include "trainer/prompt_eval/bm25.h"
#include "trainer/prompt_eval/eval_config.h"
#include "trainer/prompt_eval/text_metrics.h"
#include "trainer/statistics/calibration.h"
#include "trainer/statistics/confusion.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

// JSON is YAML.
template <FieldStruct T>
T Config(const Json& json) {
  ConfigPlace place;
  place.source = "request";
  ConfigNode tree = ParseYamlText(json.dump(), place);
  CheckTree(SchemaOf<T>(), tree);
  T config;
  FillFields(tree, [&](FieldVisitor& visitor) { config.VisitFields(visitor); });
  return config;
}

// A task file of lm-evaluation-harness as far as it can be checked without data.
Json Harness(const Json& request) {
  const Json split = {{"path", "nowhere.jsonl"}};
  const auto task =
      Config<TaskConfig>({{"harness", request.at("path")},
                          {"splits", {{"train", split}, {"dev", split}, {"test", split}}}});
  task.Validate();
  const ExampleRenderer renderer(task, TaskPrompt(task), {});
  return {{"name", task.name}, {"output_type", task.output_type}, {"metrics", EvalMetrics(task)}};
}

Json Answer(const Json& request) {
  const std::string op = request.at("op");
  if (op == "harness") return Harness(request);
  if (op == "bm25") {
    const std::vector<std::string> texts = request.at("texts");
    return {{"scores", Bm25(texts).Scores(request.at("query").get<std::string>())},
            {"words", Bm25Words(request.at("query").get<std::string>())}};
  }
  if (op == "texts") {
    const std::string prediction = request.at("prediction");
    const std::string target = request.at("target");
    return {{"f1", SquadF1(prediction, target)}, {"rouge_l", RougeL(prediction, target)}};
  }
  if (op == "confusion") {
    const std::vector<int64_t> right = request.at("right");
    const std::vector<int64_t> predicted = request.at("predicted");
    return {{"f1", BinaryF1(right, predicted)}, {"mcc", MatthewsCorrelation(right, predicted)}};
  }
  if (op == "brier") {
    const std::vector<double> loglikelihoods = request.at("loglikelihoods");
    return BrierScore(NormalisedProbabilities(loglikelihoods), request.at("gold").get<size_t>());
  }
  if (op == "filter") {
    const std::vector<std::string> choices = request.value("choices", std::vector<std::string>());
    const auto config = Config<AnswerPipelineConfig>(request.at("pipeline"));
    config.Validate("pipeline");
    return AnswerFilters(config).Apply(request.at("text").get<std::string>(), choices);
  }
  if (op == "match") {
    return NormaliseForMatch(request.at("text").get<std::string>(),
                             Config<ExactMatchConfig>(request.at("options")));
  }
  throw Error(ErrorKind::kUsage, "unknown op '" + op + "'");
}

int Main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    Json answer;
    try {
      answer["ok"] = Answer(Json::parse(line));
    } catch (const Error& error) {
      answer["error"] = error.what();
    }
    std::cout << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n" << std::flush;
  }
  return 0;
}

}  // namespace
}  // namespace breakeven

int main() { return breakeven::Main(); }
