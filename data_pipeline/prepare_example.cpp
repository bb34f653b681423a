#include "data_pipeline/prepare_example.h"

#include <algorithm>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/tokenizer/encode_pair.h"

namespace breakeven {
namespace {

// The document's place in front, unless the message names it already.
Error Placed(const Error& e, const std::string& path, uint64_t line) {
  const std::string what = e.what();
  if (what.find(path) != std::string::npos) return e;
  const std::string number = "line " + std::to_string(line);
  if (what.find(number) != std::string::npos) return {e.kind(), path + ": " + what};
  return {e.kind(), path + " " + number + ": " + what};
}

}  // namespace

PreparedExample ExampleBuilder::Build(const Document& document, const std::string& path) const {
  PreparedExample prepared;
  try {
    Encode(document, prepared);
    Fit(prepared);
  } catch (const Error& e) {
    throw Placed(e, path, document.line);
  }
  prepared.example.id = document.line;
  return prepared;
}

void ExampleBuilder::Encode(const Document& document, PreparedExample& prepared) const {
  const std::string context = renderer_.Context(document, {});
  // A choice task is scored among its choices: training on another answer would be an error of the data.
  if (config_.task.output_type == "multiple_choice") renderer_.GoldIndex(document);
  const std::string continuation = renderer_.TrainingContinuation(document);
  const std::string group = renderer_.Group(document);
  prepared.compared = CompareBy(context + continuation, group, document.line, looks_for_near_);
  prepared.example.group = prepared.compared.group;
  if (!config_.target_begin.empty()) return EncodeMarked(context + continuation, prepared);

  const EncodedPair pair = EncodePair(tokenizer_, context, continuation);
  TokenExample& example = prepared.example;
  example.tokens = pair.context;
  example.tokens.insert(example.tokens.end(), pair.continuation.begin(), pair.continuation.end());
  prepared.boundary_merge = pair.boundary_merge;
  const auto begin = config_.train_on_prompt ? 0u : static_cast<uint32_t>(pair.context.size());
  example.targets = {{begin, static_cast<uint32_t>(example.tokens.size())}};
}

// Every boundary is put where EncodePair puts the one between prompt and answer; the tokens are the
// joint encoding's, which is the same for all of them.
void ExampleBuilder::EncodeMarked(const std::string& marked, PreparedExample& prepared) const {
  const MarkedText text = TakeOutMarkers(marked, config_.target_begin, config_.target_end);
  TokenExample& example = prepared.example;
  if (text.pieces.empty()) return;
  const std::string_view whole = text.text;
  // Counted from the end: a prompt that starts with a target may have a prefix token more.
  const auto tokens_behind = [&](size_t position) -> size_t {
    if (position == whole.size()) return 0;
    EncodedPair pair = EncodePair(tokenizer_, whole.substr(0, position), whole.substr(position));
    if (example.tokens.empty()) {
      example.tokens = std::move(pair.context);
      example.tokens.insert(example.tokens.end(), pair.continuation.begin(),
                            pair.continuation.end());
    }
    prepared.boundary_merge = prepared.boundary_merge || pair.boundary_merge;
    return pair.continuation.size();
  };
  for (const auto& [begin, end] : text.pieces) {
    if (begin == end) continue;
    const size_t from_begin = tokens_behind(begin);
    const size_t from_end = tokens_behind(end);
    const size_t size = example.tokens.size();
    const auto first = static_cast<uint32_t>(size - std::min(from_begin, size));
    const auto last = static_cast<uint32_t>(size - std::min(from_end, size));
    // Pieces that touch become one span; a piece inside one token that began before it has none.
    const uint32_t free = example.targets.empty() ? 0 : example.targets.back().end;
    if (std::max(first, free) >= last) continue;
    if (!example.targets.empty() && first <= free) {
      example.targets.back().end = last;
    } else {
      example.targets.push_back({first, last});
    }
  }
}

void ExampleBuilder::Fit(PreparedExample& prepared) const {
  using Fate = PreparedExample::Fate;
  TokenExample& example = prepared.example;
  const bool has_target =
      !example.targets.empty() && (example.targets.size() > 1 || example.targets[0].end > 1);
  if (!has_target) {
    prepared.fate = Fate::kNoTarget;
    return;
  }
  prepared.ends_in_special = example.targets.back().end == example.tokens.size() &&
                             tokenizer_.IsSpecial(example.tokens.back());
  const auto length = static_cast<int64_t>(example.tokens.size());
  if (length <= config_.max_tokens) return;
  if (config_.too_long == "error") {
    throw Error(ErrorKind::kBadData,
                "the example has " + std::to_string(length) + " tokens, more than max_tokens " +
                    std::to_string(config_.max_tokens) +
                    "; raise max_tokens, or set too_long to drop or truncate_prompt_left");
  }
  if (config_.too_long == "drop") {
    prepared.fate = Fate::kTooLong;
    return;
  }
  // The first target keeps at least one token in front to be predicted from.
  const int64_t cut = length - config_.max_tokens;
  if (static_cast<int64_t>(example.targets.front().begin) <= cut) {
    prepared.fate = Fate::kTargetTooLong;
    return;
  }
  example.tokens.erase(example.tokens.begin(), example.tokens.begin() + cut);
  for (TargetSpan& span : example.targets) {
    span.begin -= static_cast<uint32_t>(cut);
    span.end -= static_cast<uint32_t>(cut);
  }
  prepared.truncated = true;
}

MarkedText TakeOutMarkers(std::string_view marked, std::string_view begin, std::string_view end) {
  MarkedText result;
  const auto fail = [&](std::string_view marker, const char* what) {
    throw Error(ErrorKind::kBadData, "target marker '" + std::string(marker) + "' " + what +
                                         "; expected pairs of '" + std::string(begin) + "' and '" +
                                         std::string(end) + "'");
  };
  size_t at = 0;
  bool open = false;
  for (;;) {
    const size_t next_begin = marked.find(begin, at);
    const size_t next_end = marked.find(end, at);
    const size_t next = std::min(next_begin, next_end);
    result.text += marked.substr(at, next == std::string_view::npos ? next : next - at);
    if (next == std::string_view::npos) break;
    // Where one marker is a prefix of the other, the longer one stands there.
    const bool is_begin = next_begin == next && (next_end != next || begin.size() > end.size());
    if (is_begin == open)
      fail(is_begin ? begin : end, open ? "stands inside another" : "closes nothing");
    if (is_begin) {
      result.pieces.emplace_back(result.text.size(), 0);
    } else {
      result.pieces.back().second = result.text.size();
    }
    open = is_begin;
    at = next + (is_begin ? begin.size() : end.size());
  }
  if (open) fail(begin, "is not closed");
  return result;
}

}  // namespace breakeven
