// What the parity tests in Python reach our token datasets through: JSON lines in, one JSON line
// out for each.
//
//   {"write": FOLDER, "name": "train", "max_tokens_per_file": 0, "info": {…},
//    "examples": [{"tokens": […], "targets": [[begin, end], …], "id": 1, "group": 2}, …]}
//                                          → {"path": "…", "content_hash": "…"}
//   {"read": PATH, "mmap": true}           → {"info": {…}, "examples": […], "num_targets": 3},
//   after Verify() what fails                             → {"error": "…", "kind": 65}
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/token_dataset.h"

namespace breakeven {
namespace {

using nlohmann::json;

json Write(const json& request) {
  const json& given = request.at("info");
  TokenDatasetInfo info;
  info.split = given.at("split");
  info.tokenizer_fingerprint = given.at("tokenizer_fingerprint");
  info.template_fingerprint = given.at("template_fingerprint");
  info.vocab_size = given.at("vocab_size");
  info.config = given.at("config");
  info.source_hashes = given.at("source_hashes").get<std::map<std::string, std::string>>();
  info.counts = given.at("counts").get<std::map<std::string, int64_t>>();
  std::vector<TokenExample> examples;
  for (const json& entry : request.at("examples")) {
    TokenExample& example = examples.emplace_back();
    example.tokens = entry.at("tokens").get<std::vector<int32_t>>();
    for (const json& span : entry.at("targets")) example.targets.push_back({span[0], span[1]});
    example.id = entry.at("id");
    example.group = entry.at("group");
  }
  const std::string path =
      WriteTokenDatasetFiles(request.at("write"), request.at("name"), info, examples,
                             request.value("max_tokens_per_file", int64_t{0}));
  return {{"path", path}, {"content_hash", info.content_hash}};
}

json Read(const json& request) {
  const auto dataset = TokenDataset::Open(request.at("read"), {request.value("mmap", true), true});
  dataset->Verify();
  const TokenDatasetInfo& info = dataset->info();
  json answer;
  answer["info"] = {{"split", info.split},
                    {"tokenizer_fingerprint", info.tokenizer_fingerprint},
                    {"template_fingerprint", info.template_fingerprint},
                    {"vocab_size", info.vocab_size},
                    {"config", info.config},
                    {"source_hashes", info.source_hashes},
                    {"counts", info.counts}};
  answer["content_hash"] = info.content_hash;
  answer["num_targets"] = dataset->num_targets();
  answer["examples"] = json::array();
  for (int64_t i = 0; i < dataset->num_examples(); ++i) {
    std::vector<int64_t> tokens(static_cast<size_t>(dataset->example_tokens(i)));
    dataset->ReadTokens(i, tokens);
    json targets = json::array();
    for (const TargetSpan& span : dataset->target_spans(i)) {
      targets.push_back({span.begin, span.end});
    }
    answer["examples"].push_back({{"tokens", tokens},
                                  {"targets", targets},
                                  {"id", dataset->example_id(i)},
                                  {"group", dataset->example_group(i)}});
  }
  return answer;
}

}  // namespace
}  // namespace breakeven

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    nlohmann::json answer;
    try {
      const nlohmann::json request = nlohmann::json::parse(line);
      answer = request.contains("write") ? breakeven::Write(request) : breakeven::Read(request);
    } catch (const breakeven::Error& error) {
      answer = {{"error", error.what()}, {"kind", error.exit_code()}};
    }
    std::cout << answer.dump() << '\n';
  }
}
