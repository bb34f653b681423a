// What the parity tests and the bench in Python reach our tokenizer through.
//
//   tokenize_tool FOLDER                 JSON lines in, one JSON line out for each:
//     {"text": "…", "special": true}        → {"ids": […]}
//     {"ids": […], "skip_special": false}   → {"text": "…"}
//     {"context": "…", "continuation": "…"} → {"context": […], "continuation": […],
//     "boundary_merge": false}
//     {"about": true}                       → vocab_size, bos, eos, fingerprint
//     what fails                            → {"error": "…", "kind": 65}
//   tokenize_tool FOLDER --bench FILE N  encodes the lines of FILE N times, one call a line:
//   {"bytes":…, "ids":…, "seconds": […]}
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/tokenizer/encode_pair.h"
#include "data_pipeline/tokenizer/tokenizer.h"

namespace breakeven {
namespace {

using nlohmann::json;

json Answer(const Tokenizer& tokenizer, const json& request) {
  if (request.contains("text")) {
    return {{"ids", tokenizer.Encode(request["text"].get_ref<const std::string&>(),
                                     request.value("special", true))}};
  }
  if (request.contains("ids")) {
    const auto ids = request["ids"].get<std::vector<int32_t>>();
    return {{"text", tokenizer.Decode(ids, request.value("skip_special", false))}};
  }
  if (request.contains("context")) {
    const EncodedPair pair = EncodePair(tokenizer, request["context"].get<std::string>(),
                                        request["continuation"].get<std::string>());
    return {{"context", pair.context},
            {"continuation", pair.continuation},
            {"boundary_merge", pair.boundary_merge}};
  }
  return {{"vocab_size", tokenizer.vocab_size()},
          {"bos", tokenizer.bos_id().value_or(-1)},
          {"eos", tokenizer.eos_id().value_or(-1)},
          {"fingerprint", tokenizer.fingerprint()}};
}

int Serve(const Tokenizer& tokenizer) {
  std::string line;
  while (std::getline(std::cin, line)) {
    json answer;
    try {
      answer = Answer(tokenizer, json::parse(line));
    } catch (const Error& error) {
      answer = {{"error", error.what()}, {"kind", error.exit_code()}};
    }
    std::cout << answer.dump() << '\n';
  }
  return 0;
}

int Bench(const Tokenizer& tokenizer, const char* path, int rounds) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  size_t num_bytes = 0;
  for (std::string line; std::getline(in, line);) {
    num_bytes += line.size();
    lines.push_back(line);
  }
  json seconds = json::array();
  size_t num_ids = 0;
  for (int round = 0; round < rounds; ++round) {
    num_ids = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& line : lines) num_ids += tokenizer.Encode(line).size();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::cout << json{{"bytes", num_bytes}, {"ids", num_ids}, {"seconds", seconds}}.dump() << '\n';
  return 0;
}

int Run(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  if (argc != 2 && argc != 5) {
    std::cerr << "usage: tokenize_tool FOLDER [--bench FILE ROUNDS]\n";
    return 64;
  }
  try {
    const auto tokenizer = Tokenizer::Load(argv[1]);
    return argc == 2 ? Serve(*tokenizer) : Bench(*tokenizer, argv[3], std::stoi(argv[4]));
  } catch (const Error& error) {
    std::cout << json{{"error", error.what()}, {"kind", error.exit_code()}}.dump() << '\n';
    return error.exit_code();
  }
}

}  // namespace
}  // namespace breakeven

int main(int argc, char** argv) { return breakeven::Run(argc, argv); }
