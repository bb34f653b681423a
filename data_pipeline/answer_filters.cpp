// Pure.
#include "data_pipeline/answer_filters.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"
#include "data_pipeline/tokenizer/python_regex.h"
#include "data_pipeline/tokenizer/regex.h"

namespace breakeven {
namespace {

constexpr size_t kMaxBytes = 1 << 24;  // of an answer

// The harness's reading of re.findall, stripped; nullopt where nothing matches, or a match of several groups has only
// empty ones.
std::optional<std::string> FindAnswer(const PythonRegex& regex, int64_t group_select,
                                      std::string_view text) {
  const auto matches = regex.FindAll(text);
  const int64_t size = std::ssize(matches);
  const int64_t place = group_select < 0 ? size + group_select : group_select;
  if (place < 0 || place >= size) return std::nullopt;
  const std::vector<std::string_view>& groups = matches[static_cast<size_t>(place)];
  if (groups.size() == 1) return std::string(unicode::Strip(groups.front()));
  for (const std::string_view group : groups) {
    if (!group.empty()) return std::string(unicode::Strip(group));
  }
  return std::nullopt;
}

// Unicode's categories P*.
std::string WithoutPunctuation(std::string_view text) {
  static const PythonRegex kPunctuation("\\p{P}");
  return kPunctuation.Replace(text, "", 0, kMaxBytes);
}

}  // namespace

struct AnswerFilters::Step {
  AnswerFilterConfig config;
  std::optional<PythonRegex> regex;
  std::vector<PythonRegex> ignored;

  std::string Apply(std::string_view text, std::span<const std::string> choices) const;

 private:
  std::string MultiChoice(std::string_view text, std::span<const std::string> choices) const;
  std::string WithoutIgnored(std::string_view text) const;
};

std::string AnswerFilters::Step::Apply(std::string_view text,
                                       std::span<const std::string> choices) const {
  if (config.function == "regex") {
    return FindAnswer(*regex, config.group_select, text).value_or(config.fallback);
  }
  if (config.function == "multi_choice_regex") return MultiChoice(text, choices);
  if (config.function == "remove_whitespace") return std::string(unicode::Strip(text));
  if (config.function == "lowercase") return unicode::Lower(text);
  if (config.function == "uppercase") return unicode::Upper(text);
  if (config.function == "map") {
    const auto found = config.mapping_dict.find(std::string(text));
    return found == config.mapping_dict.end() ? config.default_value : found->second;
  }
  return std::string(text);
}

std::string AnswerFilters::Step::WithoutIgnored(std::string_view text) const {
  std::string kept(text);
  for (const PythonRegex& pattern : ignored) kept = pattern.Replace(kept, "", 0, kMaxBytes);
  if (config.ignore_case) kept = unicode::Lower(kept);
  return config.ignore_punctuation ? WithoutPunctuation(kept) : kept;
}

std::string AnswerFilters::Step::MultiChoice(std::string_view text,
                                             std::span<const std::string> choices) const {
  std::string found = FindAnswer(*regex, config.group_select, text).value_or("");
  if (!found.empty()) return found;
  std::map<std::string, std::string> letter_of;
  std::vector<std::string> texts;
  std::string letters;
  for (size_t i = 0; i < choices.size(); ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    const std::string kept = WithoutIgnored(unicode::Strip(choices[i]));
    letter_of[kept] = "(" + letter + ")";
    texts.push_back(EscapeForRegex(kept));
    letters += (letters.empty() ? "" : "|") + EscapeForRegex(letter);
  }
  // Longest first: a choice that another begins with must not hide it.
  std::stable_sort(texts.begin(), texts.end(), [](const std::string& a, const std::string& b) {
    return unicode::Length(a) > unicode::Length(b);
  });
  std::string any;
  for (const std::string& choice : texts) any += (any.empty() ? "" : "|") + choice;
  found = FindAnswer(PythonRegex(any), config.group_select, WithoutIgnored(text)).value_or("");
  if (!found.empty()) {
    const auto letter = letter_of.find(found);
    return letter == letter_of.end() ? found : letter->second;
  }
  found =
      FindAnswer(PythonRegex(":[\\s]*(" + letters + ")"), config.group_select, text).value_or("");
  return found.empty() ? config.fallback : "(" + found + ")";
}

AnswerFilters::AnswerFilters(const AnswerPipelineConfig& config) {
  for (const AnswerFilterConfig& filter : config.filter) {
    Step step;
    step.config = filter;
    if (!filter.regex_pattern.empty()) step.regex.emplace(filter.regex_pattern);
    for (const std::string& pattern : filter.regexes_to_ignore) step.ignored.emplace_back(pattern);
    steps_.push_back(std::move(step));
  }
}

AnswerFilters::~AnswerFilters() = default;
AnswerFilters::AnswerFilters(AnswerFilters&&) noexcept = default;
AnswerFilters& AnswerFilters::operator=(AnswerFilters&&) noexcept = default;

std::string AnswerFilters::Apply(std::string_view text,
                                 std::span<const std::string> choices) const {
  std::string answer(text);
  try {
    for (const Step& step : steps_) answer = step.Apply(answer, choices);
  } catch (const RegexError& error) {
    throw Error(ErrorKind::kBadData, std::string("filter_list: ") + error.what());
  }
  return answer;
}

std::string NormaliseForMatch(std::string_view text, const ExactMatchConfig& options) {
  std::string result(text);
  try {
    for (const std::string& pattern : options.regexes_to_ignore) {
      result = RegexReplace(result, pattern, "", 0, kMaxBytes);
    }
  } catch (const RegexError& error) {
    throw Error(ErrorKind::kBadData, std::string("exact_match.regexes_to_ignore: ") + error.what());
  }
  if (options.ignore_case) result = unicode::Lower(result);
  std::erase_if(result, [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) return false;
    return (options.ignore_punctuation && std::ispunct(byte) != 0) ||
           (options.ignore_numbers && std::isdigit(byte) != 0);
  });
  return options.strip ? std::string(unicode::Strip(result)) : result;
}

}  // namespace breakeven
